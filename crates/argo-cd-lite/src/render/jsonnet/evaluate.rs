//! Evaluates Jsonnet in a process of its own, which has no files.
//!
//! ```text
//!   controller ──► request: all files that may be imported ──► this process ──► JSON
//! ```
//!
//! The process reads the request, gives up the right to open anything, and prints the result. The controller bounds its
//! memory and time.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use rsjsonnet_lang::{
    arena::Arena,
    interner::InternedStr,
    parser::ParseError,
    program::{
        AnalyzeError, Callbacks, EvalError, EvalStackTraceItem, ImportError, LoadError,
        NativeError, Program, Thunk, Value,
    },
    span::{SourceId, SpanContext, SpanId},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::error::{reason, span_in, span_of, words};
use crate::repo::{clean, join};

/// A value that comes from outside of the files.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    /// The value is an expression.
    pub(super) code: bool,
}

/// What to evaluate.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Request {
    /// The file.
    pub(super) entry: String,
    /// Files by path.
    pub(super) files: BTreeMap<String, String>,
    /// Folders of libraries; the last counts first.
    pub(super) libraries: Vec<String>,
    pub(super) external: Vec<Variable>,
    pub(super) arguments: Vec<Variable>,
}

/// Reads a request from a file and prints its result.
pub fn run(request: &Path) -> ExitCode {
    match answer(request) {
        Ok(json) => match io::stdout().write_all(json.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(text) => {
            // Nobody reads it when that fails, too.
            _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn answer(request: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(request).map_err(|error| error.to_string())?;
    // From here on nothing can be opened.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Nofile, none).map_err(|error| error.to_string())?;
    let request: Request = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    evaluate(&request)
}

/// The result as JSON, or the error with file and line.
pub(super) fn evaluate(request: &Request) -> Result<String, String> {
    let arena = Arena::new();
    let mut program = Program::new(&arena);
    let mut files = Files {
        request,
        sources: HashMap::new(),
        loaded: HashMap::new(),
        problem: None,
    };
    for variable in &request.external {
        let value = files.variable(&mut program, variable)?;
        let name = program.intern_str(&variable.name);
        program.add_ext_var(name, &value);
    }
    let mut arguments = Vec::new();
    for variable in &request.arguments {
        let value = files.variable(&mut program, variable)?;
        arguments.push((program.intern_str(&variable.name), value));
    }
    let root = files.load(&mut program, &request.entry)?;
    let mut value = program.eval_value(&root, &mut files);
    if let Ok(function) = &value
        && function.is_function()
    {
        let function = program.value_to_thunk(function);
        value = program.eval_call(&function, &[], &arguments, &mut files);
    }
    let json = value.and_then(|value| program.manifest_json(&value, false));
    json.map_err(|error| files.explain(&program, &error))
}

struct Files<'r, 'p> {
    request: &'r Request,
    /// Where each source comes from.
    sources: HashMap<SourceId, String>,
    loaded: HashMap<String, Thunk<'p>>,
    /// Why an import failed.
    problem: Option<String>,
}

impl<'p> Files<'_, 'p> {
    fn variable(
        &mut self,
        program: &mut Program<'p>,
        variable: &Variable,
    ) -> Result<Thunk<'p>, String> {
        if !variable.code {
            return Ok(program.value_to_thunk(&Value::string(&variable.value)));
        }
        let title = format!("the value of {}", variable.name);
        self.parse(program, &title, &variable.value)
    }

    fn load(&mut self, program: &mut Program<'p>, path: &str) -> Result<Thunk<'p>, String> {
        if let Some(known) = self.loaded.get(path) {
            return Ok(known.clone());
        }
        let text = self.request.files.get(path);
        let text = text.ok_or_else(|| format!("{path}: there is no such file"))?;
        let thunk = self.parse(program, path, text)?;
        self.loaded.insert(path.to_owned(), thunk.clone());
        Ok(thunk)
    }

    fn parse(
        &mut self,
        program: &mut Program<'p>,
        title: &str,
        text: &str,
    ) -> Result<Thunk<'p>, String> {
        let (context, source) = program.span_manager_mut().insert_source_context(text.len());
        self.sources.insert(source, title.to_owned());
        let loaded = program.load_source(context, text.as_bytes(), true, title);
        loaded.map_err(|error| match error {
            LoadError::Parse(ParseError::Expected { span, .. }) => {
                let place = self.place(program, span).unwrap_or_default();
                format!("{place}: this is no Jsonnet")
            }
            LoadError::Lex(error) => format!("{title}: {}", words(&format!("{error:?}"))),
            LoadError::Analyze(AnalyzeError::UnknownVariable { span, name }) => {
                let place = self.place(program, span).unwrap_or_default();
                format!("{place}: there is no variable {name}")
            }
            LoadError::Analyze(error) => format!("{title}: {}", words(&format!("{error:?}"))),
        })
    }

    /// The file that an import in `from` means: beside it, else in a library.
    fn find(&mut self, program: &Program<'p>, from: SpanId, path: &str) -> Option<String> {
        let (context, _, _) = program.span_manager().get_span(from);
        let SpanContext::Source(source) = *program.span_manager().get_context(context);
        let beside = self.sources.get(&source).map_or("", String::as_str);
        let folder = beside.rsplit_once('/').map_or("", |(folder, _)| folder);
        let places = candidates(folder, &self.request.libraries, path);
        let found = places
            .into_iter()
            .find(|place| self.request.files.contains_key(place));
        if found.is_none() {
            self.problem = Some(format!(
                "{beside}: cannot import {path:?}: there is no such file"
            ));
        }
        found
    }

    /// File and line of a span.
    fn place(&self, program: &Program<'p>, span: SpanId) -> Option<String> {
        let (context, start, _) = program.span_manager().get_span(span);
        let SpanContext::Source(source) = *program.span_manager().get_context(context);
        let title = self.sources.get(&source)?;
        let Some(text) = self.request.files.get(title) else {
            return Some(title.clone());
        };
        let lines = text.bytes().take(start).filter(|byte| *byte == b'\n');
        Some(format!("{title}:{}", lines.count() + 1))
    }

    /// The error for people, with the place in the files that is next to it.
    fn explain(&mut self, program: &Program<'p>, error: &EvalError) -> String {
        if let Some(problem) = self.problem.take() {
            return problem;
        }
        let what = reason(&error.kind);
        let own = span_in(&error.kind).into_iter();
        let mut spans = own.chain(error.stack_trace.iter().rev().filter_map(span_of));
        match spans.find_map(|span| self.place(program, span)) {
            Some(place) => format!("{place}: {what}"),
            None => what,
        }
    }
}

/// Where an import may be, in order.
pub(super) fn candidates(folder: &str, libraries: &[String], path: &str) -> Vec<String> {
    if path.starts_with('/') {
        return Vec::new();
    }
    std::iter::once(folder)
        .chain(libraries.iter().rev().map(String::as_str))
        // What leads out of the tree is nowhere.
        .filter_map(|folder| clean(&join(folder, path)).ok())
        .collect()
}

impl<'p> Callbacks<'p> for Files<'_, 'p> {
    fn import(
        &mut self,
        program: &mut Program<'p>,
        from: SpanId,
        path: &str,
    ) -> Result<Thunk<'p>, ImportError> {
        let found = self.find(program, from, path).ok_or(ImportError)?;
        self.load(program, &found).map_err(|problem| {
            self.problem = Some(problem);
            ImportError
        })
    }

    fn import_str(
        &mut self,
        program: &mut Program<'p>,
        from: SpanId,
        path: &str,
    ) -> Result<String, ImportError> {
        let found = self.find(program, from, path).ok_or(ImportError)?;
        Ok(self.request.files[&found].clone())
    }

    fn import_bin(
        &mut self,
        program: &mut Program<'p>,
        from: SpanId,
        path: &str,
    ) -> Result<Vec<u8>, ImportError> {
        self.import_str(program, from, path).map(String::into_bytes)
    }

    fn trace(&mut self, _: &mut Program<'p>, _: &str, _: &[EvalStackTraceItem]) {}

    fn native_call(
        &mut self,
        _: &mut Program<'p>,
        _: InternedStr<'p>,
        _: &[Value<'p>],
    ) -> Result<Value<'p>, NativeError> {
        Err(NativeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(files: &[(&str, &str)]) -> Request {
        let files = files.iter();
        Request {
            entry: "app/a.jsonnet".to_owned(),
            files: files
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
            libraries: vec!["app".to_owned(), "vendor".to_owned()],
            ..Request::default()
        }
    }

    fn variable(name: &str, value: &str, code: bool) -> Variable {
        Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            code,
        }
    }

    #[test]
    fn libraries_variables_and_arguments_come_in() {
        let mut one = request(&[
            (
                "app/a.jsonnet",
                "local l = import 'l.libsonnet'; function(name, n=2) [{a: l.x, b: std.extVar('e'), c: importstr '../t.txt', d: name, n: n}]",
            ),
            ("vendor/l.libsonnet", "{x: 1 + 1}"),
            ("t.txt", "hi"),
        ]);
        one.external = vec![variable("e", "{z: 3}", true)];
        one.arguments = vec![variable("name", "web", false), variable("n", "1 + 6", true)];
        assert_eq!(
            evaluate(&one).as_deref(),
            Ok(r#"[{"a": 2, "b": {"z": 3}, "c": "hi", "d": "web", "n": 7}]"#)
        );
    }

    #[test]
    fn imports_lead_to_the_files_of_the_request_only() {
        for path in ["/etc/hostname", "../../../../etc/hostname", "../other.txt"] {
            let text = format!("importstr '{path}'");
            let error = evaluate(&request(&[("app/a.jsonnet", &text)])).expect_err(path);
            assert!(error.contains("there is no such file"), "{error}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        for (text, expected) in [
            ("{\n a: error 'bad'}", "app/a.jsonnet:2: bad"),
            ("{\n\n a: }", "app/a.jsonnet:3: this is no Jsonnet"),
            ("{a: x}", "app/a.jsonnet:1: there is no variable x"),
            ("{a: {}.x}", "app/a.jsonnet:1: there is no field x"),
        ] {
            let error = evaluate(&request(&[("app/a.jsonnet", text)])).expect_err(text);
            assert_eq!(error, expected);
        }
        for (text, expected) in [
            ("{a: std.extVar('q')}", "external variable q is not set"),
            ("local f(x) = f(x + 1); f(0)", "nested too deeply"),
            ("function(name) name", "parameter name has no value"),
        ] {
            let error = evaluate(&request(&[("app/a.jsonnet", text)])).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }
}
