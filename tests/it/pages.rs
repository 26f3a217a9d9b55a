//! Pages that are made from the program are as the program would make them. `UPDATE_DOCS=1` rewrites them.

/// Compares a page with its file, or rewrites the file.
fn is_fresh(path: &str, page: &str) {
    let full = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(std::path::Path::new(&full).parent().unwrap()).unwrap();
        std::fs::write(&full, page).unwrap();
    }
    let committed = std::fs::read_to_string(&full).unwrap_or_default();
    assert!(committed == page, "{path} is old; run this test with UPDATE_DOCS=1");
}

#[test]
fn the_scenario_page_is_fresh() {
    let page = wavetank::scenario::reference();
    assert!(!page.contains("(no shape"), "a mark of src/scenario/reference.md names no shape");
    is_fresh("docs/SCENARIO.md", &page);
}

#[test]
fn the_command_line_page_is_fresh() {
    is_fresh("docs/CLI.md", &wavetank::cli::reference::page());
}

#[test]
fn the_schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&wavetank::scenario::schema()).unwrap() + "\n";
    is_fresh("docs/schema/scenario.json", &schema);
}

/// The tutorial's first scenario, read as it stands (its manifests are not there).
#[test]
fn the_tutorial_is_made_of_scenarios_that_can_be_read() {
    let page = wavetank::scenario::reference();
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|b| b.split("```").next()).collect();
    assert_eq!(blocks.len(), 4, "head, behaviour, steps, expectations");
    let text = blocks.concat();
    let shop =
        std::fs::read_to_string(format!("{}/scenarios/manifests/shop.yaml", env!("CARGO_MANIFEST_DIR")))
            .unwrap();
    let files = wavetank::scenario::MemoryFiles::default().with("s/manifests/shop.yaml", shop);
    let mut sources = wavetank::base::SourceMap::default();
    let (plan, found) = wavetank::scenario::load_text(&files, "s/first.yaml", &text, &mut sources);
    let told = wavetank::report::diagnostics::render(&found, &sources, false);
    let plan = plan.unwrap_or_else(|| panic!("{told}"));
    assert_eq!((plan.steps.len(), plan.expectations.len(), plan.behaviours.len()), (3, 4, 3));
}
