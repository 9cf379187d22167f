//! One suite on one setting: every way against plain FUSE.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::cases::{Cases, Verdict};
use super::side::{Side, Way};
use super::suite::Suite;

/// How often a case that differs is run again, on both sides.
const AGAIN: usize = 3;

/// Runs `suite` on all sides, the first of which is the oracle, and prints what came out. Returns whether
/// all agree.
///
/// # Errors
/// The suite cannot be run, or nothing was bypassed.
pub fn compare(suite: &dyn Suite, sides: &[Side<'_>]) -> Result<bool> {
    let (oracle, others) = sides.split_first().context("no sides")?;
    let expected = run(suite, oracle)?;
    println!(
        "  cases: {} ({} skipped)",
        expected.len(),
        expected.count(Verdict::Skipped)
    );
    show_failing(oracle.way, &expected);
    ensure!(!expected.is_empty(), "no case was run");
    let mut same = true;
    for side in others {
        let cases = run(suite, side)?;
        show_failing(side.way, &cases);
        same &= agree(suite, (oracle, &expected), (side, &cases))?;
    }
    Ok(same)
}

fn run(suite: &dyn Suite, side: &Side<'_>) -> Result<Cases> {
    let cases = suite.run(side, None);
    cases.with_context(|| format!("by way of {}", side.way.name()))
}

fn show_failing(way: Way, cases: &Cases) {
    let failing: Vec<_> = cases.with(Verdict::Failed).collect();
    println!("  failing on {}: {}", way.name(), failing.len());
    for name in failing {
        println!("    {name}");
    }
}

/// A side and what it said.
type Said<'a> = (&'a Side<'a>, &'a Cases);

/// Whether both say the same, after what differs was tried again; prints what does not.
fn agree(suite: &dyn Suite, oracle: Said<'_>, other: Said<'_>) -> Result<bool> {
    let way = other.0.way.name();
    let mut same = true;
    for name in oracle.1.differing(other.1) {
        let (expected, first) = (oracle.1.verdict(&name), other.1.verdict(&name));
        let (theirs, ours) = again(suite, &name, oracle.0, other.0)?;
        let allowed: BTreeSet<_> = theirs.iter().copied().chain([expected]).collect();
        let stands = ours.iter().any(|verdict| !allowed.contains(verdict));
        let what = if stands {
            "DIFFERENT"
        } else {
            "not seen again"
        };
        println!("  {what}: {name}: plain FUSE {expected:?}, {way} {first:?}");
        println!("    again: plain FUSE {theirs:?}, {way} {ours:?}");
        show_words(&name, oracle.1, other.1, way);
        same &= !stands;
    }
    if same {
        println!("  {way} agrees with plain FUSE");
    }
    let otherwise = oracle.1.failing_otherwise(other.1);
    for name in &otherwise {
        println!("  fails on both, but with other words: {name}");
        show_words(name, oracle.1, other.1, way);
    }
    Ok(same)
}

fn show_words(name: &str, expected: &Cases, cases: &Cases, way: &str) {
    for (side, words) in [
        ("plain FUSE", expected.words(name)),
        (way, cases.words(name)),
    ] {
        if !words.is_empty() {
            println!("    {side} says: {words}");
        }
    }
}

/// The verdicts of further runs, in turn: the oracle's and the other's.
fn again(
    suite: &dyn Suite,
    name: &str,
    oracle: &Side<'_>,
    other: &Side<'_>,
) -> Result<(Vec<Verdict>, Vec<Verdict>)> {
    let verdict = |side| Ok::<_, anyhow::Error>(suite.run(side, Some(name))?.verdict(name));
    let both = (0..AGAIN).map(|_| Ok((verdict(oracle)?, verdict(other)?)));
    Ok(both.collect::<Result<Vec<_>>>()?.into_iter().unzip())
}
