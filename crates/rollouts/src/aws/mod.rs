//! The API of AWS, as far as traffic needs it: what load balancers do.

mod answers;
mod elb;
pub(crate) mod load_balancers;

pub(crate) use elb::Elb;

#[cfg(test)]
mod tests;
