//! Named actors in seeded random order over one world.
//!
//! Real controllers run at the same time and see each other's work late and in any order. A
//! simulation plays that: at each step one actor that has something to do is picked at random and
//! does one thing. Invariants are checked after every step. When all actors are idle, time
//! moves to the next moment at which somebody might. The same seed gives the same run.

use std::fmt;

use super::Transcript;

/// Lines of the transcript that a failure shows.
const SHOWN: usize = 40;

/// The outcome of an actor's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The actor has nothing to do.
    Idle,
    /// The actor did one thing, described for the transcript.
    Did(String),
}

impl Act {
    /// `Did(..)` from anything that can be written.
    pub fn did(what: impl fmt::Display) -> Self {
        Self::Did(what.to_string())
    }
}

/// A small generator with a good spread (SplitMix64), so that runs repeat on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator for `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit as u64;
        if limit == 0 {
            return 0;
        }
        usize::try_from(self.next_u64() % limit).expect("below a usize")
    }

    /// True once in `times` on average.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

type Actor<W> = (String, Box<dyn FnMut(&mut W, &mut Random) -> Act>);
type Invariant<W> = (String, Box<dyn Fn(&W) -> Result<(), String>>);

/// A simulation that is being put together and then run.
pub struct Simulation<W> {
    world: W,
    random: Random,
    seed: u64,
    actors: Vec<Actor<W>>,
    invariants: Vec<Invariant<W>>,
    advance: Box<dyn FnMut(&mut W) -> bool>,
    max_steps: usize,
}

/// A run that reached its goal.
#[derive(Debug)]
pub struct Finished<W> {
    /// The world at the end.
    pub world: W,
    /// The transcript.
    pub transcript: Transcript,
    /// How many steps it took.
    pub steps: usize,
}

/// A run that failed; written with its seed and the last steps.
#[derive(Debug)]
pub struct Failure {
    /// The seed to repeat the run with.
    pub seed: u64,
    /// The broken invariant, or why the run ended.
    pub reason: String,
    /// The transcript until the failure.
    pub transcript: Transcript,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.reason)?;
        write!(f, "{}", self.transcript.tail(SHOWN))
    }
}

impl std::error::Error for Failure {}

impl<W> Simulation<W> {
    /// A simulation of `world` that may take at most `max_steps`.
    pub fn new(world: W, seed: u64, max_steps: usize) -> Self {
        Self {
            world,
            random: Random::new(seed),
            seed,
            actors: Vec::new(),
            invariants: Vec::new(),
            advance: Box::new(|_| false),
            max_steps,
        }
    }

    /// Adds an actor. It is asked until it is idle; each time it does at most one thing.
    #[must_use]
    pub fn actor(
        mut self,
        name: impl Into<String>,
        act: impl FnMut(&mut W, &mut Random) -> Act + 'static,
    ) -> Self {
        self.actors.push((name.into(), Box::new(act)));
        self
    }

    /// Adds a rule that must hold after every step.
    #[must_use]
    pub fn invariant(
        mut self,
        name: impl Into<String>,
        holds: impl Fn(&W) -> Result<(), String> + 'static,
    ) -> Self {
        self.invariants.push((name.into(), Box::new(holds)));
        self
    }

    /// Called when all actors are idle: moves time to the next wake-up, false when there is none.
    #[must_use]
    pub fn advance(mut self, advance: impl FnMut(&mut W) -> bool + 'static) -> Self {
        self.advance = Box::new(advance);
        self
    }

    /// Runs until `goal` holds. Coming to rest before that, breaking an invariant, or taking too
    /// many steps is a failure.
    pub fn run_until(self, goal: impl Fn(&W) -> bool) -> Result<Finished<W>, Box<Failure>> {
        self.run(Some(&goal))
    }

    /// Runs until all actors are idle and no wake-up is left.
    pub fn run_to_rest(self) -> Result<Finished<W>, Box<Failure>> {
        self.run(None)
    }

    fn run(mut self, goal: Option<&dyn Fn(&W) -> bool>) -> Result<Finished<W>, Box<Failure>> {
        let mut transcript = Transcript::default();
        let seed = self.seed;
        let fail = |reason, transcript| {
            Err(Box::new(Failure {
                seed,
                reason,
                transcript,
            }))
        };
        for step in 0..=self.max_steps {
            if goal.is_some_and(|goal| goal(&self.world)) {
                return Ok(Finished {
                    world: self.world,
                    transcript,
                    steps: step,
                });
            }
            match self.one_step() {
                Some((who, what)) => transcript.line(who, what),
                None if (self.advance)(&mut self.world) => transcript.line("time", "passes"),
                None if goal.is_none() => {
                    return Ok(Finished {
                        world: self.world,
                        transcript,
                        steps: step,
                    });
                }
                None => return fail("came to rest before the goal".to_owned(), transcript),
            }
            for (name, holds) in &self.invariants {
                if let Err(why) = holds(&self.world) {
                    return fail(format!("{name}: {why}"), transcript);
                }
            }
        }
        fail(
            format!("not done after {} steps", self.max_steps),
            transcript,
        )
    }

    /// Lets actors try in random order until one does something.
    fn one_step(&mut self) -> Option<(String, String)> {
        let mut order: Vec<usize> = (0..self.actors.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.random.below(last + 1));
        }
        for index in order {
            let (name, act) = &mut self.actors[index];
            if let Act::Did(what) = act(&mut self.world, &mut self.random) {
                return Some((name.clone(), what));
            }
        }
        None
    }
}
