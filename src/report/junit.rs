//! Runs as JUnit XML: a test suite per scenario, a test case per expectation.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::RunReport;
use crate::expect::Verdict;

/// What became of one scenario.
pub enum Ran<'a> {
    /// It ran to its end; the name tells it from the others.
    Finished(String, &'a RunReport),
    /// It could not be read or run: its name and why.
    Broken(String, &'a str),
}

/// The XML document.
///
/// # Errors
/// A text that XML cannot hold.
pub fn render(runs: &[Ran<'_>]) -> Result<String, String> {
    let mut report = Report::new("wavetank");
    for run in runs {
        report.add_test_suite(match run {
            Ran::Finished(name, run) => suite(name, run),
            Ran::Broken(name, why) => broken(name, why),
        });
    }
    report.to_string().map_err(|error| error.to_string())
}

fn suite(name: &str, run: &RunReport) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.add_property(("seed", run.outcome.seed.to_string().as_str()));
    suite.add_property(("digest", run.outcome.digest.to_string().as_str()));
    for judged in &run.outcome.expectations {
        let status = if judged.verdict == Verdict::Passed {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(judged.message.as_str());
            status
        };
        let mut case = TestCase::new(judged.name.as_str(), status);
        case.set_classname(run.source.as_str());
        suite.add_test_case(case);
    }
    if run.outcome.expectations.is_empty() {
        let mut case = TestCase::new("runs to its end", TestCaseStatus::success());
        case.set_classname(run.source.as_str());
        suite.add_test_case(case);
    }
    suite
}

fn broken(name: &str, why: &str) -> TestSuite {
    let mut suite = TestSuite::new(name);
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(why);
    suite.add_test_case(TestCase::new("can be run", status));
    suite
}
