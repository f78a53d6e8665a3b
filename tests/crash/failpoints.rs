//! The service is killed at each named point between the key that confirms and the end of delivery, and started again.

use super::caller::phone;
use super::cluster::Cluster;
use super::house::{House, Wanted, on_threads, postgres_template, sqlite_template};
use super::invariants::SUCCESSES;
use klikon::units::failpoint::{self, Failpoint};
use std::sync::Mutex;

/// Cases at once: they wait more than they compute.
const AT_ONCE: usize = 8;

/// Where the service dies.
#[derive(Debug, Clone, Copy)]
struct Case {
    point: Failpoint,
    /// The how-manieth time it is reached.
    nth: u32,
    /// Whether the caller's confirmation is booked by then.
    booked: bool,
}

/// Every point; those around a delivery for the order, and for an SMS too, which comes second.
fn cases() -> Vec<Case> {
    let before = [
        failpoint::BEFORE_ATTEMPT,
        failpoint::ATTEMPT_BEFORE_COMMIT,
        failpoint::AFTER_ATTEMPT,
        failpoint::AFTER_HOLD_ROWS,
        failpoint::HOLD_BEFORE_COMMIT,
    ];
    let delivery = [
        failpoint::AFTER_OUTBOX_CLAIM,
        failpoint::BEFORE_PEER_TOLD,
        failpoint::PEER_HALF_TOLD,
        failpoint::AFTER_PEER_TOLD,
        failpoint::MARK_SENT_BEFORE_COMMIT,
        failpoint::AFTER_MARK_SENT,
    ];
    let first = Failpoint::ALL.map(|point| Case { point, nth: 1, booked: !before.contains(&point) });
    let of_an_sms = delivery.map(|point| Case { point, nth: 2, booked: true });
    // One pass delivers both SMS: the first is out, the second is not.
    let between = Case { point: failpoint::BEFORE_PEER_TOLD, nth: 3, booked: true };
    first.into_iter().chain(of_an_sms).chain([between]).collect()
}

/// Before anything is due there is nothing to claim: that point is reached at a start, with what another run has left.
fn needs_a_leftover(case: Case) -> bool {
    case.point == failpoint::BEFORE_OUTBOX_CLAIM
}

fn play(mut house: House, case: Case) -> Result<(), String> {
    let name = format!("{}:{}", case.point.name(), case.nth);
    let wanted = Wanted::new(0, 1, 2);
    if needs_a_leftover(case) {
        // Delivery looks once at the start, and then not again.
        house.change_settings("poll_interval_ms = 20", "poll_interval_ms = 60000");
        let service = house.serve(None);
        house.remember(phone(service.address(), &wanted).finish());
        service.kill();
        house.change_settings("poll_interval_ms = 60000", "poll_interval_ms = 20");
    }
    let mut service = house.serve(Some(&name));
    if !needs_a_leftover(case) {
        let caller = phone(service.address(), &wanted);
        let killed = service.was_killed();
        house.remember(caller.cut());
        if !killed {
            return Err(format!("never reached\n{:?}\n{}", house.calls(), house.log()));
        }
    } else if !service.was_killed() {
        return Err(format!("never reached\n{}", house.log()));
    }
    house.judge(false)?;
    // Both sides begin again.
    house.peer.start_again();
    let service = house.serve(None);
    house.rest()?;
    let history = house.judge(true)?;
    service.kill();
    let booked = history.rows.activations.len();
    if booked != usize::from(case.booked) {
        return Err(format!("{booked} booked\n{}", house.log()));
    }
    if !case.booked && house.calls()[0].has_heard(&SUCCESSES) {
        return Err(format!("heard it: {:?}", house.calls()));
    }
    Ok(())
}

/// Plays all cases, a few at a time, and says which failed.
fn play_all(house: impl Fn(usize) -> House + Sync) {
    let cases = cases();
    let failed = Mutex::new(Vec::new());
    on_threads(AT_ONCE, |index| {
        let Some(case) = cases.get(index) else { return false };
        if let Err(error) = play(house(index), *case) {
            failed.lock().unwrap().push(format!("---- killed at {case:?}: {error}"));
        }
        true
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} cases\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// The network activates: an answer of "rejected" is another matter.
const SETTINGS: &str = "calls.activation_wait_ms = 3000";

#[test]
fn killed_at_each_point_on_sqlite() {
    let template = sqlite_template(1);
    play_all(|_| House::on_sqlite(&template, SETTINGS));
}

#[test]
fn killed_at_each_point_on_postgresql() {
    let cluster = Cluster::start().unwrap();
    postgres_template(&cluster, 1);
    play_all(|index| House::on_postgres(&cluster, &format!("case_{index}"), SETTINGS));
}

#[test]
fn there_is_a_case_for_every_point() {
    let cases = cases();
    assert!(Failpoint::ALL.iter().all(|point| cases.iter().any(|case| case.point == *point)));
}
