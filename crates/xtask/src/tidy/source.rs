//! A file of Rust code as the rules see it.

/// Path and text of a file, with the code apart from comments.
pub(super) struct Source<'t> {
    pub(super) path: &'t str,
    pub(super) text: &'t str,
    /// (line number from 1, the line without its comment)
    pub(super) code: Vec<(usize, &'t str)>,
}

impl<'t> Source<'t> {
    pub(super) fn new(path: &'t str, text: &'t str) -> Self {
        let lines = text.lines().enumerate();
        // Test modules at the end of a file are not code of the program.
        let program = lines.take_while(|(_, line)| line.trim() != "mod tests {");
        let code = program
            .map(|(at, line)| (at + 1, without_comment(line)))
            .collect();
        Self { path, text, code }
    }

    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The parts of the path.
    pub(super) fn parts(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        self.path.split('/')
    }

    /// Part of a test, a bench or an example.
    pub(super) fn is_test(&self) -> bool {
        self.file_name() == "tests.rs"
            || self
                .parts()
                .any(|part| matches!(part, "tests" | "benches" | "testkit"))
    }

    /// Code of one of the crates, not of the test bed.
    pub(super) fn is_program(&self) -> bool {
        self.path.starts_with("crates/")
            && self.parts().any(|part| part == "src")
            && !self.is_test()
    }

    /// Part of a planner.
    pub(super) fn is_plan(&self) -> bool {
        self.is_program()
            && (self.file_name() == "plan.rs" || self.parts().any(|part| part == "plan"))
    }

    /// Lines of code that contain `word` as a whole word.
    pub(super) fn lines_with(&self, word: &str) -> impl Iterator<Item = usize> {
        self.code
            .iter()
            .filter(move |(_, line)| has_word(line, word))
            .map(|(number, _)| *number)
    }

    /// Lines of code that call `function`.
    pub(super) fn lines_that_call(&self, function: &str) -> impl Iterator<Item = usize> {
        self.code
            .iter()
            .filter(move |(_, line)| calls(line, function))
            .map(|(number, _)| *number)
    }
}

fn calls(line: &str, function: &str) -> bool {
    line.match_indices(function).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let own_word = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        own_word && line[at + function.len()..].starts_with('(')
    })
}

fn without_comment(line: &str) -> &str {
    // A `//` inside of a text is rare and only hides the rest of that line.
    line.split("//").next().unwrap_or(line)
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !is_part(before) && !is_part(after)
    })
}
