use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

fn ms(utc: &str) -> u64 {
    utc.parse::<Timestamp>().unwrap().as_millisecond() as u64
}

/// The next runs after an instant, in UTC without seconds unless there are any.
fn runs(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = Cron::parse(expression).unwrap();
    let zone = Zone::named(zone).unwrap();
    let mut at_ms = ms(after);
    let mut runs = Vec::new();
    for _ in 0..count {
        let Some(next_ms) = cron.next_after(at_ms, &zone) else { break };
        assert!(next_ms > at_ms);
        at_ms = next_ms;
        let run = Timestamp::from_millisecond(at_ms as i64).unwrap().to_string();
        let run = run.trim_end_matches('Z');
        runs.push(run.strip_suffix(":00").unwrap_or(run).to_owned());
    }
    runs
}

#[track_caller]
fn assert_runs(expression: &str, zone: &str, after: &str, expected: &[&str]) {
    assert_eq!(runs(expression, zone, after, expected.len()), expected, "{expression} in {zone}");
}

#[test]
fn fields_lists_ranges_steps_and_names() {
    let from = "2026-01-01T00:00:00Z"; // a Thursday
    for (expression, expected) in [
        ("* * * * *", ["2026-01-01T00:01", "2026-01-01T00:02"]),
        ("0 0 * * *", ["2026-01-02T00:00", "2026-01-03T00:00"]),
        ("*/20 3 * * *", ["2026-01-01T03:00", "2026-01-01T03:20"]),
        ("5/25 3 * * *", ["2026-01-01T03:05", "2026-01-01T03:30"]),
        ("10-30/10 3 * * *", ["2026-01-01T03:10", "2026-01-01T03:20"]),
        ("0 12 1,15 * *", ["2026-01-01T12:00", "2026-01-15T12:00"]),
        ("0 9 * * MON-FRI", ["2026-01-01T09:00", "2026-01-02T09:00"]),
        ("0 9 * * mon,Wed", ["2026-01-05T09:00", "2026-01-07T09:00"]),
        ("0 9 * * 0", ["2026-01-04T09:00", "2026-01-11T09:00"]),
        ("0 9 * * 7", ["2026-01-04T09:00", "2026-01-11T09:00"]),
        ("0 9 * * 6-7", ["2026-01-03T09:00", "2026-01-04T09:00"]),
        ("0 9 * * 7/2", ["2026-01-01T09:00", "2026-01-03T09:00"]),
        ("0 9 * * SUN/2", ["2026-01-01T09:00", "2026-01-03T09:00"]),
        ("0 9 * * 1/2", ["2026-01-02T09:00", "2026-01-05T09:00"]),
        ("0 9 * * 5-7/2", ["2026-01-02T09:00", "2026-01-04T09:00"]),
        ("0 9 * * SAT-SUN", ["2026-01-03T09:00", "2026-01-04T09:00"]),
        ("0 0 1 JAN-MAR/2 *", ["2026-03-01T00:00", "2027-01-01T00:00"]),
        ("0 0 ? * TUE", ["2026-01-06T00:00", "2026-01-13T00:00"]),
        ("*/30 * * * * *", ["2026-01-01T00:00:30", "2026-01-01T00:01"]),
        ("5 4 3 2 1 *", ["2026-01-02T03:04:05", "2027-01-02T03:04:05"]),
        ("@hourly", ["2026-01-01T01:00", "2026-01-01T02:00"]),
        ("@Daily", ["2026-01-02T00:00", "2026-01-03T00:00"]),
        ("@weekly", ["2026-01-04T00:00", "2026-01-11T00:00"]),
        ("@monthly", ["2026-02-01T00:00", "2026-03-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("  15   10  *  *  * ", ["2026-01-01T10:15", "2026-01-02T10:15"]),
    ] {
        assert_runs(expression, "UTC", from, &expected);
    }
}

#[test]
fn days_of_the_month_and_of_the_week() {
    for (expression, from, expected) in [
        // Both restricted: either. One open, also with a step: both (Vixie cron).
        ("0 0 13 * FRI", "2026-01-01T00:00:00Z", ["2026-01-02", "2026-01-09", "2026-01-13"]),
        ("0 0 */2 * FRI", "2026-01-01T00:00:00Z", ["2026-01-09", "2026-01-23", "2026-02-13"]),
        ("0 0 L * *", "2026-01-01T00:00:00Z", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("0 0 L-2 * *", "2028-01-01T00:00:00Z", ["2028-01-29", "2028-02-27", "2028-03-29"]),
        ("0 0 1,L * *", "2026-01-01T00:00:00Z", ["2026-01-31", "2026-02-01", "2026-02-28"]),
        // 2026-02-28 is a Saturday, 2026-05-31 a Sunday.
        ("0 0 LW * *", "2026-02-01T00:00:00Z", ["2026-02-27", "2026-03-31", "2026-04-30"]),
        ("0 0 LW 5 *", "2026-05-01T00:00:00Z", ["2026-05-29", "2027-05-31", "2028-05-31"]),
        // 2026-02-01 is a Sunday, 2026-08-01 a Saturday, 2026-08-15 a Saturday.
        ("0 0 1W * *", "2026-01-31T00:00:00Z", ["2026-02-02", "2026-03-02", "2026-04-01"]),
        ("0 0 1W 8 *", "2026-01-01T00:00:00Z", ["2026-08-03", "2027-08-02", "2028-08-01"]),
        ("0 0 15W 8 *", "2026-01-01T00:00:00Z", ["2026-08-14", "2027-08-16", "2028-08-15"]),
        ("0 0 31W * *", "2026-01-31T00:00:00Z", ["2026-03-31", "2026-05-29", "2026-07-31"]),
        ("0 0 * * FRI#2", "2026-01-01T00:00:00Z", ["2026-01-09", "2026-02-13", "2026-03-13"]),
        ("0 0 * * 5#5", "2026-01-01T00:00:00Z", ["2026-01-30", "2026-05-29", "2026-07-31"]),
        ("0 0 * * FRIL", "2026-01-01T00:00:00Z", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("0 0 ? * 0L,MON#1", "2026-01-01T00:00:00Z", ["2026-01-05", "2026-01-25", "2026-02-02"]),
        ("0 0 30 * *", "2026-01-31T00:00:00Z", ["2026-03-30", "2026-04-30", "2026-05-30"]),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", ["2104-02-29", "2108-02-29", "2112-02-29"]),
    ] {
        let expected = expected.map(|day| format!("{day}T00:00"));
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        assert_runs(expression, "UTC", from, &expected);
    }
}

/// Berlin: 2026-03-29 02:00 +01 becomes 03:00 +02; 2026-10-25 03:00 +02 becomes 02:00 +01.
#[test]
fn a_local_time_that_is_skipped_runs_at_the_jump_once() {
    let zone = "Europe/Berlin";
    let before = "2026-03-28T12:00:00Z";
    assert_runs("30 2 * * *", zone, before, &["2026-03-29T01:00", "2026-03-30T00:30"]);
    assert_runs("0 2 * * *", zone, before, &["2026-03-29T01:00", "2026-03-30T00:00"]);
    assert_runs("59 2 * * *", zone, before, &["2026-03-29T01:00", "2026-03-30T00:59"]);
    assert_runs("0 3 * * *", zone, before, &["2026-03-29T01:00", "2026-03-30T01:00"]);
    // Six skipped times are one run, which is that of 03:00 as well.
    assert_runs(
        "*/10 2,3 * * *",
        zone,
        "2026-03-29T00:59:00Z",
        &["2026-03-29T01:00", "2026-03-29T01:10", "2026-03-29T01:20"],
    );
    assert_runs(
        "0 */2 * * *",
        zone,
        "2026-03-29T00:00:00Z",
        &["2026-03-29T01:00", "2026-03-29T02:00"],
    );
}

#[test]
fn a_local_time_that_comes_twice_runs_once() {
    let zone = "Europe/Berlin";
    assert_runs(
        "30 2 * * *",
        zone,
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30", "2026-10-26T01:30"],
    );
    // Asked within the second pass.
    assert_runs("30 2 * * *", zone, "2026-10-25T01:15:00Z", &["2026-10-26T01:30"]);
    assert_runs(
        "*/30 2,3 * * *",
        zone,
        "2026-10-24T23:59:00Z",
        &["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30"],
    );
}

#[test]
fn what_runs_every_hour_goes_by_elapsed_time() {
    let zone = "Europe/Berlin";
    assert_runs(
        "30 * * * *",
        zone,
        "2026-03-29T00:00:00Z",
        &["2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"],
    );
    assert_runs(
        "30 * * * *",
        zone,
        "2026-10-24T23:59:00Z",
        &["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"],
    );
    assert_runs(
        "*/30 * 25 10 *",
        zone,
        "2026-10-25T00:15:00Z",
        &["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"],
    );
}

#[test]
fn zones_of_all_kinds() {
    // Half an hour of daylight saving: 2026-10-04 02:00 +10:30 becomes 02:30 +11.
    assert_runs(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T00:00:00Z",
        &["2026-10-03T15:30", "2026-10-04T15:15"],
    );
    // 2026-04-05 02:00 +11 becomes 01:30 +10:30.
    assert_runs(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00:00Z",
        &["2026-04-04T14:45", "2026-04-05T15:15"],
    );
    // A whole day skipped: 2011-12-30 did not exist in Samoa.
    assert_runs(
        "0 12 30 12 *",
        "Pacific/Apia",
        "2011-12-01T00:00:00Z",
        &["2011-12-30T10:00", "2012-12-29T22:00"],
    );
    // Midnight skipped: 2026-04-24 00:00 +02 becomes 01:00 +03.
    assert_runs(
        "0 0 * * *",
        "Africa/Cairo",
        "2026-04-22T23:00:00Z",
        &["2026-04-23T22:00", "2026-04-24T21:00"],
    );
    assert_runs("0 9 * * *", "Asia/Kathmandu", "2026-01-01T00:00:00Z", &["2026-01-01T03:15"]);
    assert_runs("0 9 * * *", "America/New_York", "2026-07-01T00:00:00Z", &["2026-07-01T13:00"]);
    assert_runs("0 9 * * *", "america/new_york", "2026-12-01T00:00:00Z", &["2026-12-01T14:00"]);
    assert!(Zone::named("Europe/Atlantis").is_none());
    assert!(Zone::named("").is_none());
    assert!(Zone::named("../etc/passwd").is_none());
    assert!(RULES_VERSION.starts_with("20"));
}

#[test]
fn mistakes_are_named() {
    for (expression, says) in [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("60 * * * *", "minute: \"60\" is not a number from 0 to 59"),
        ("* 24 * * *", "hour: \"24\""),
        ("* * 0 * *", "day of month: \"0\""),
        ("* * 32 * *", "day of month: \"32\""),
        ("* * * 13 *", "month: \"13\" is not a number from 1 to 12 or a three-letter name"),
        ("* * * * 8", "day of week: \"8\""),
        ("* * * FEBRUARY *", "month: \"FEBRUARY\""),
        ("5-1 * * * *", "ends before it begins"),
        ("* * * * FRI-MON", "ends before it begins"),
        ("*/0 * * * *", "no step from 1 to 60"),
        ("*/61 * * * *", "no step from 1 to 60"),
        ("*/x * * * *", "no step"),
        ("+5 * * * *", "minute: \"+5\""),
        ("1,,2 * * * *", "minute: \"\""),
        ("1- * * * *", "minute: \"\""),
        ("? * * * *", "minute: \"?\""),
        ("* * 1,? * *", "day of month: \"?\""),
        ("* * L-31 * *", "more than 30 days before the last"),
        ("* * 32W * *", "day of month: \"32\""),
        ("* * * * L", "names no day"),
        ("* * * * FRI#6", "number from 1 to 5"),
        ("* * * * FRI#0", "number from 1 to 5"),
        ("* * * * #1", "day of week: \"\""),
        ("0 0 30 2 *", "never runs"),
        ("0 0 31 4,6,9,11 *", "never runs"),
        ("@reboot", "none of @yearly"),
        ("@every 5m", "none of @yearly"),
        ("* * * * 256", "day of week: \"256\""),
    ] {
        let error = Cron::parse(expression).unwrap_err().to_string();
        assert!(error.contains(says), "{expression:?} says: {error}");
    }
    assert!(Cron::parse(&"*".repeat(10_000)).is_err());
}

#[test]
fn the_end_of_time_is_no_run() {
    let cron = Cron::parse("@yearly").unwrap();
    assert_eq!(cron.next_after(u64::MAX, &Zone::UTC), None);
    assert_eq!(cron.next_after(ms("9999-12-01T00:00:00Z"), &Zone::UTC), None);
}

/// A set of values of a field, and how it is written.
fn set(min: u8, max: u8) -> impl Strategy<Value = (Vec<u8>, String)> {
    prop_oneof![
        2 => Just(((min..=max).collect(), "*".to_owned())),
        3 => prop::collection::btree_set(min..=max, 1..4).prop_map(|set| {
            let text: Vec<String> = set.iter().map(u8::to_string).collect();
            (set.into_iter().collect(), text.join(","))
        }),
        1 => (min..=max, min..=max).prop_map(|(a, b)| {
            let (a, b) = (a.min(b), a.max(b));
            ((a..=b).collect(), format!("{a}-{b}"))
        }),
    ]
}

proptest! {
    /// Against looking at every minute. Where daylight saving matters the two rules differ, so that
    /// is looked at only for what goes by elapsed time.
    #[test]
    fn every_minute_that_matches_is_a_run_and_no_other(
        minute in set(0, 59),
        hour in set(0, 23),
        day in set(1, 31),
        month in set(1, 12),
        week in set(0, 6),
        start_day in 0..700u64,
    ) {
        let expression = format!("{} {} {} {} {}", minute.1, hour.1, day.1, month.1, week.1);
        let Ok(cron) = Cron::parse(&expression) else { return Ok(()) };
        let name = if hour.1 == "*" { "Europe/Berlin" } else { "UTC" };
        let zone = Zone::named(name).unwrap();
        let from_s = ms("2026-01-01T00:00:00Z") / 1_000 + start_day * 86_400;
        let matches = |at_s: u64| {
            let local = zone.local(at_s as i64).unwrap();
            let has = |(values, _): &(Vec<u8>, String), value: i8| values.contains(&(value as u8));
            let by_month = has(&day, local.day());
            let by_week = has(&week, local.weekday().to_sunday_zero_offset());
            let open = day.1 == "*" || week.1 == "*";
            has(&minute, local.minute())
                && has(&hour, local.hour())
                && has(&month, local.month())
                && if open { by_month && by_week } else { by_month || by_week }
        };
        let mut next = cron.next_after(from_s * 1_000 - 1, &zone);
        for at_s in (from_s..from_s + 4 * 86_400).step_by(60) {
            let is_run = next == Some(at_s * 1_000);
            prop_assert_eq!(is_run, matches(at_s), "{} at {}", expression, at_s);
            if is_run {
                next = cron.next_after(at_s * 1_000, &zone);
            }
        }
    }

    #[test]
    fn any_text_is_an_expression_or_an_error(text in "\\PC{0,40}", fields in "[0-9*/,#LWA-Z?@ -]{0,40}") {
        let _ = Cron::parse(&text);
        if let Ok(cron) = Cron::parse(&fields) {
            let _ = cron.next_after(1_800_000_000_000, &Zone::named("Europe/London").unwrap());
        }
    }
}
