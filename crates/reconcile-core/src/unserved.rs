//! Kinds that users may have and that the operator does not support yet: each object gets a condition and an Event that
//! say so, once.
//!
//! An object that has a status already is left alone: another controller may serve the kind.

use std::{convert::Infallible, marker::PhantomData};

use jiff::Timestamp;
use kube::core::NamespaceResourceScope;
use serde_json::{Value, json};

use crate::{
    conditions::{self, Condition, Times},
    error::{Classify, ErrorClass},
    event::EventNote,
    object::{Kind, Root},
    operator::Operator,
    reconcile::{Controller, Done, Driver, DriverConfig, Plan, Queue, Report, Target},
    watch::{Index, Watch, WatchConfig},
};

/// Reason of the condition and of the Event.
pub const REASON: &str = "NotSupported";

/// A kind that is not served yet.
pub trait Unserved: Send + Sync + 'static {
    /// As [`Kind::GROUP`].
    const GROUP: &'static str;
    /// As [`Kind::VERSION`].
    const VERSION: &'static str;
    /// As [`Kind::KIND`].
    const KIND: &'static str;
    /// As [`Kind::PLURAL`].
    const PLURAL: &'static str;
    /// Type of the condition in which upstream's controller reports errors of this kind.
    const CONDITION: &'static str;
    /// Which times the kind's conditions have.
    const TIMES: Times;
    /// Endpoint that takes the status: kinds without a status subresource take it as a part of the object.
    const STATUS: Target;
    /// What a user should know: what is missing, and what to do meanwhile.
    const MESSAGE: &'static str;
}

/// An object whose spec is not read.
struct Unread<U>(PhantomData<fn() -> U>);

impl<U: Unserved> Kind for Unread<U> {
    const GROUP: &'static str = U::GROUP;
    const VERSION: &'static str = U::VERSION;
    const KIND: &'static str = U::KIND;
    const PLURAL: &'static str = U::PLURAL;
    type Scope = NamespaceResourceScope;
    type Spec = Value;
    type Status = Value;
}

/// Starts to mark objects of `U` as not supported: those of one namespace, or all. Readiness does not depend on this,
/// because the kind may not be installed.
pub fn start<U: Unserved>(operator: &Operator, namespace: Option<&str>, config: WatchConfig) {
    let (queue, roots) = (Queue::new(), Index::default());
    let driver = Driver::with_queue(
        Marker::<U>(PhantomData),
        operator,
        DriverConfig::default(),
        queue.clone(),
        roots.clone(),
    );
    // The spec is not read, so it is not kept.
    let api = operator.api(namespace);
    let watch = Watch::named(U::PLURAL, api, roots, |mut root: Root<Unread<U>>| {
        root.slim();
        root.spec = None;
        Some(root)
    });
    let watch = watch.config(config).on_change(move |change| {
        if !change.is_report_of(Marker::<U>::NAME) {
            queue.add(change.key);
        }
    });
    operator.spawn("watch of a kind that is not served", watch.run());
    operator.spawn_drained(driver.run());
}

/// The controller of a kind that is not served.
struct Marker<U>(PhantomData<fn() -> U>);

/// What is known of an object: its status, and whether it is on its way out.
struct Observed {
    status: Value,
    deleting: bool,
}

impl Observed {
    /// True when no controller has written a status yet.
    fn is_unmarked(&self) -> bool {
        let has_status = self
            .status
            .as_object()
            .is_some_and(|status| !status.is_empty());
        !has_status && !self.deleting
    }
}

// There are no effects, so nothing can fail.
impl Classify for Infallible {
    fn class(&self) -> ErrorClass {
        match *self {}
    }
}

impl<U: Unserved> Controller for Marker<U> {
    type Kind = Unread<U>;
    type Observed = Observed;
    type Action = Infallible;
    type Decision = Plan<Infallible>;
    type Applied = Infallible;
    type Error = Infallible;

    const NAME: &'static str = U::PLURAL;

    async fn observe(&self, root: &Root<Unread<U>>) -> Result<Observed, Infallible> {
        Ok(Observed {
            status: root.status_value(),
            deleting: root.is_deleting(),
        })
    }

    fn plan(observed: &Observed, _: Timestamp) -> Plan<Infallible> {
        let mut plan = Plan::new();
        plan.note(if observed.is_unmarked() {
            "kind not supported; writing a condition"
        } else {
            "the object has a status already; leaving it alone"
        });
        plan
    }

    async fn apply(&self, _: &Observed, action: &Infallible) -> Result<Infallible, Infallible> {
        match *action {}
    }

    fn report(
        observed: &Observed,
        _: &Plan<Infallible>,
        _: &[Done<Infallible, Infallible>],
        now: Timestamp,
    ) -> Report {
        let mut report = Report::default();
        if observed.is_unmarked() {
            let condition = Condition::new(U::CONDITION, true, REASON, U::MESSAGE);
            let mut all = Vec::new();
            conditions::set(&mut all, condition, U::TIMES, now);
            report.status_at(U::STATUS, &observed.status, &json!({ "conditions": all }));
            report.event(EventNote::warning(REASON, U::MESSAGE));
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        testkit::{FakeApi, FakeKind},
    };

    struct Gadget;

    impl Unserved for Gadget {
        const GROUP: &'static str = "test.example";
        const VERSION: &'static str = "v1";
        const KIND: &'static str = "Gadget";
        const PLURAL: &'static str = "gadgets";
        const CONDITION: &'static str = "ErrorOccurred";
        const TIMES: Times = Times::Transition;
        const STATUS: Target = Target::Main;
        const MESSAGE: &'static str = "gadgets are not supported yet";
    }

    fn report(status: Value, deleting: bool) -> Report {
        let observed = Observed { status, deleting };
        let now = "2026-01-02T03:04:05Z".parse().expect("a time");
        let plan = Marker::<Gadget>::plan(&observed, now);
        Marker::<Gadget>::report(&observed, &plan, &[], now)
    }

    #[test]
    fn an_object_without_a_status_is_marked_once() {
        let first = report(Value::Null, false);
        let condition = &first.patches[0].body["status"]["conditions"][0];
        assert_eq!(
            *condition,
            json!({
                "type": "ErrorOccurred", "status": "True", "reason": "NotSupported",
                "message": "gadgets are not supported yet", "lastTransitionTime": "2026-01-02T03:04:05Z",
            })
        );
        assert_eq!(first.events.len(), 1);
        let after = first.patches[0].body["status"].clone();
        assert_eq!(report(after, false), Report::default());
    }

    #[test]
    fn what_somebody_else_serves_or_deletes_is_left_alone() {
        assert_eq!(
            report(json!({"phase": "Running"}), false),
            Report::default()
        );
        assert_eq!(report(Value::Null, true), Report::default());
    }

    /// The conditions that an object of `kind` gets.
    async fn conditions_in_cluster<U: Unserved>(kind: FakeKind) -> Value {
        let api = FakeApi::new().with_kind(kind);
        let operator = Operator::detached(api.client(), Clock::system());
        api.put(&json!({
            "apiVersion": "test.example/v1", "kind": U::KIND, "metadata": {"name": "a", "namespace": "ns"}, "spec": {},
        }));
        start::<U>(&operator, None, WatchConfig::default());
        let marked = async {
            loop {
                let object = api.get(U::PLURAL, "ns", "a").unwrap_or_default();
                if object["status"].is_object() {
                    return object["status"]["conditions"].clone();
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), marked)
            .await
            .expect("the object gets a condition")
    }

    struct Widget;

    impl Unserved for Widget {
        const GROUP: &'static str = "test.example";
        const VERSION: &'static str = "v1";
        const KIND: &'static str = "Widget";
        const PLURAL: &'static str = "widgets";
        const CONDITION: &'static str = "ErrorOccurred";
        const TIMES: Times = Times::Transition;
        const STATUS: Target = Target::Status;
        const MESSAGE: &'static str = "widgets are not supported yet";
    }

    #[tokio::test]
    async fn kinds_with_and_without_a_status_subresource_get_the_condition() {
        let gadgets = FakeKind::new("test.example", "v1", "Gadget", "gadgets").without_status();
        let conditions = conditions_in_cluster::<Gadget>(gadgets).await;
        assert_eq!(conditions[0]["reason"], REASON);
        let widgets = FakeKind::new("test.example", "v1", "Widget", "widgets");
        let conditions = conditions_in_cluster::<Widget>(widgets).await;
        assert_eq!(conditions[0]["reason"], REASON);
    }
}
