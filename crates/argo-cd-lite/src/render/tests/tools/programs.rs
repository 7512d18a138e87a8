//! The programs themselves: what they see, and how they are stopped.

use super::*;

#[test]
fn a_program_sees_its_files_and_an_empty_environment() {
    let bench = Bench::new(REPORT);
    bench
        .write("chart/Chart.yaml", CHART)
        .write("chart/values.yaml", "a: 1\n")
        .write("envs/b.yaml", "b: 1\n")
        .write("envs/a.yaml", "a: 2\n")
        .write("secrets/unrelated.yaml", "password: x\n")
        .link("chart/linked.yaml", "../envs/b.yaml");
    let source = json!({"path": "chart", "helm": {
        "valueFiles": ["linked.yaml", "/envs/*.yaml", "../envs/b.yaml", "missing.yaml"],
        "ignoreMissingValueFiles": true,
        "valuesObject": {"c": 1},
        "values": "c: ignored",
        "fileParameters": [{"name": "cert", "path": "../envs/a.yaml"}],
    }});
    let set = bench.render(source).expect("a render");
    assert_eq!(set.types, [SourceType::Helm]);
    let files = report(&set, "files");
    let files: Vec<&str> = files.lines().collect();
    assert_eq!(
        files,
        [
            "./files/0",
            "./tree/chart/Chart.yaml",
            "./tree/chart/linked.yaml",
            "./tree/chart/values.yaml",
            "./values/0.yaml",
            "./values/1.yaml",
            "./values/2.yaml",
            "./values/inline.yaml",
        ]
    );
    assert_eq!(
        report(&set, "environment").lines().collect::<Vec<_>>(),
        ["HOME", "HTTPS_PROXY", "HTTP_PROXY", "TMPDIR"]
    );
    let arguments = report(&set, "arguments");
    let values: Vec<&str> = arguments
        .lines()
        .filter_map(|line| line.strip_prefix("--values="))
        .filter_map(|path| path.rsplit('/').next())
        .collect();
    // The file that is listed by its name keeps its own place behind the glob.
    assert_eq!(values, ["0.yaml", "1.yaml", "2.yaml", "inline.yaml"]);
}

#[test]
fn a_program_that_does_not_end_is_killed_with_its_children() {
    let mark = tempfile::tempdir().expect("a folder");
    let file = mark.path().join("pid");
    let script = format!(
        "sh -c 'echo $$ > {}; sleep 600' & sleep 600",
        file.display()
    );
    let mut bench = Bench::new(&script);
    bench.limits.deadline = Duration::from_secs(1);
    bench.write("chart/Chart.yaml", CHART);
    let error = bench.error(json!({"path": "chart"}));
    assert_eq!(error, "helm did not end within 1 s and was killed");
    let pid = fs::read_to_string(file).expect("the child ran");
    let status = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let began = std::time::Instant::now();
    // The kernel takes a moment; a zombie waits for whoever is its parent now.
    while !(status().is_empty() || status().contains(") Z")) {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", status());
        std::thread::yield_now();
    }
}

#[test]
fn output_without_end_is_cut_off() {
    for (script, expected) in [
        ("yes", "helm wrote more than 65536 bytes and was killed"),
        ("yes >&2", "helm"),
    ] {
        let mut bench = Bench::new(script);
        bench.limits.output = 65_536;
        bench.write("chart/Chart.yaml", CHART);
        let error = bench.error(json!({"path": "chart"}));
        assert!(error.contains(expected), "{error}");
        assert!(error.len() < 4096, "{}", error.len());
    }
}

#[test]
fn a_program_without_a_path_of_its_own_is_found_in_the_search_path() {
    let bench = Bench::new(REPORT);
    bench.write("chart/Chart.yaml", CHART);
    let files = Files::Folder(bench.folder.path().join("repository"));
    let render = |folder: &str| {
        let paths = ToolPaths {
            search: Some(format!("/nowhere:{folder}").into()),
            ..ToolPaths::default()
        };
        let tools = Tools::new(paths, bench.folder.path().join("sandboxes"));
        let request = request(vec![json!({"path": "chart"})], &files);
        render_once(&request, &placement(), &tools, |_, _| Scope::Namespaced)
    };
    let here = bench.folder.path().display().to_string();
    assert_eq!(render(&here).expect("a render").targets.len(), 1);
    let error = render("/nowhere/else").expect_err("no helm").to_string();
    assert!(error.starts_with("helm is not installed"), "{error}");
}
