//! A pattern as instructions for a machine that follows all alternatives at once: its time is at
//! most instructions times characters, whatever the pattern.

use super::MAX_WORK;

/// Characters, as ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    /// First and last character of each range.
    pub ranges: Vec<(char, char)>,
    /// The class holds everything else.
    pub negated: bool,
}

impl Class {
    pub(super) fn contains(&self, c: char) -> bool {
        let listed = self
            .ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c));
        listed != self.negated
    }
}

#[derive(Debug, Clone)]
enum Instruction {
    /// Takes one character.
    Take(Class),
    /// Continues at both places.
    Split(usize, usize),
    /// Continues elsewhere.
    Jump(usize),
}

/// A compiled pattern; the place behind its last instruction is a match.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
    /// Ranges in all classes: each of them is checked when its class is.
    ranges: usize,
}

/// `{a,b}` that is not closed yet.
#[derive(Debug)]
pub(super) struct Group {
    /// The split in front of the alternative that is being written.
    split: usize,
    /// Jumps from the ends of the alternatives before it.
    ends: Vec<usize>,
}

impl Program {
    /// Takes one character of a class.
    pub(super) fn take(&mut self, class: Class) {
        self.ranges += class.ranges.len();
        self.instructions.push(Instruction::Take(class));
    }

    /// Takes exactly this character.
    pub(super) fn literal(&mut self, c: char) {
        self.take(Class {
            ranges: vec![(c, c)],
            negated: false,
        });
    }

    /// Takes any number of characters of a class.
    pub(super) fn repeat(&mut self, class: Class) {
        let start = self.instructions.len();
        self.instructions
            .push(Instruction::Split(start + 1, start + 3));
        self.take(class);
        self.instructions.push(Instruction::Jump(start));
    }

    /// Starts alternatives.
    pub(super) fn open(&mut self) -> Group {
        let split = self.split();
        Group {
            split,
            ends: Vec::new(),
        }
    }

    /// Starts the next alternative of a group.
    pub(super) fn next(&mut self, group: &mut Group) {
        group.ends.push(self.instructions.len());
        self.instructions.push(Instruction::Jump(0));
        let here = self.instructions.len();
        self.instructions[group.split] = Instruction::Split(group.split + 1, here);
        group.split = self.split();
    }

    /// Ends the alternatives of a group.
    pub(super) fn close(&mut self, group: Group) {
        let here = self.instructions.len();
        for end in group.ends {
            self.instructions[end] = Instruction::Jump(here);
        }
    }

    /// A split whose second way is set when the next alternative starts.
    fn split(&mut self) -> usize {
        let at = self.instructions.len();
        self.instructions.push(Instruction::Split(at + 1, at + 1));
        at
    }

    /// Most work of matching this text.
    pub(super) fn work(&self, text: &str) -> usize {
        let length = self.instructions.len() + self.ranges + 1;
        length.saturating_mul(text.len() + 1)
    }

    /// Whether the whole text matches; `None` where that would take too much work.
    pub(super) fn run(&self, text: &str) -> Option<bool> {
        if self.work(text) > MAX_WORK {
            return None;
        }
        let end = self.instructions.len();
        let mut states = States::new(end + 1);
        states.add(self, 0);
        for c in text.chars() {
            let current = std::mem::take(&mut states.list);
            if current.is_empty() {
                return Some(false);
            }
            states.generation += 1;
            for at in current {
                if let Some(Instruction::Take(class)) = self.instructions.get(at)
                    && class.contains(c)
                {
                    states.add(self, at + 1);
                }
            }
        }
        Some(states.list.contains(&end))
    }
}

/// The places where the machine is, each once.
struct States {
    list: Vec<usize>,
    seen: Vec<usize>,
    generation: usize,
    pending: Vec<usize>,
}

impl States {
    fn new(places: usize) -> Self {
        Self {
            list: Vec::new(),
            seen: vec![0; places],
            generation: 1,
            pending: Vec::new(),
        }
    }

    /// Adds a place and those that are reached from it without a character.
    fn add(&mut self, program: &Program, at: usize) {
        self.pending.push(at);
        while let Some(at) = self.pending.pop() {
            if self.seen[at] == self.generation {
                continue;
            }
            self.seen[at] = self.generation;
            match program.instructions.get(at) {
                Some(Instruction::Split(first, second)) => {
                    self.pending.push(*second);
                    self.pending.push(*first);
                }
                Some(Instruction::Jump(target)) => self.pending.push(*target),
                Some(Instruction::Take(_)) | None => self.list.push(at),
            }
        }
    }
}
