//! Writes and the lease that fences them.

use super::*;

#[test]
fn the_fence_opens_only_while_the_lease_lasts() {
    let clock = Clock::manual(start());
    let fence = Fence::closed(clock.clone());
    assert!(!fence.is_open());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    assert!(fence.is_open());
    clock.advance(SignedDuration::from_secs(10));
    assert!(!fence.is_open());
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_the_fence_open() {
    let clock = Clock::manual(start());
    let fence = Fence::closed(clock.clone());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    clock.move_wall(-SignedDuration::from_hours(1));
    assert!(fence.is_open());
    clock.advance(SignedDuration::from_secs(10));
    assert!(!fence.is_open());
}

#[test]
fn a_machine_that_was_suspended_finds_the_fence_closed() {
    let clock = Clock::manual(start());
    let fence = Fence::closed(clock.clone());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    clock.move_wall(SignedDuration::from_mins(1));
    assert!(!fence.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waited_for_a_busy_server_is_not_sent_once_the_lease_is_gone() {
    let clock = Clock::manual(start());
    let fence = Fence::closed(clock.clone());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    let server = Server::new();
    let slow = move |_| {
        clock.advance(SignedDuration::from_secs(10));
        answer(429)
    };
    let refused = server
        .ask(&fence, Method::POST, slow)
        .await
        .expect_err("the fence is closed");
    // The pause before the next try counts as in flight.
    assert!(
        refused.downcast_ref::<FencedInFlight>().is_some(),
        "{refused}"
    );
    assert_eq!(server.seen(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_in_flight_ends_with_the_fence_and_not_after_it() {
    let clock = Clock::running(start());
    let fence = Fence::closed(clock.clone());
    let ten = SignedDuration::from_secs(10);
    fence.extend(clock.read(), ten);
    let server = Server::new();
    let begin = tokio::time::Instant::now();
    let cut = server
        .ask(&fence, Method::POST, |_| without_end())
        .await
        .expect_err("cut off");
    assert!(cut.downcast_ref::<FencedInFlight>().is_some(), "{cut}");
    assert!(super::super::is_fenced(&kube::Error::Service(cut)));
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_write_continues_while_the_lease_is_renewed_until_its_own_deadline() {
    let clock = Clock::running(start());
    let fence = Fence::closed(clock.clone());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    let renewed = fence.clone();
    tokio::spawn(async move {
        loop {
            renewed.extend(clock.read(), SignedDuration::from_secs(10));
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    });
    let server = Server::new();
    let begin = tokio::time::Instant::now();
    let late = server
        .ask(&fence, Method::POST, |_| without_end())
        .await
        .expect_err("no end");
    assert!(late.downcast_ref::<Late>().is_some(), "{late}");
    assert_eq!(begin.elapsed(), Deadlines::default().unary);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_suspended_cuts_off_a_write_soon_after_it_wakes_up() {
    let clock = Clock::running(start());
    let fence = Fence::closed(clock.clone());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    let server = Server::new();
    let begin = tokio::time::Instant::now();
    // The time of day has moved on, timers have not.
    clock.move_wall(SignedDuration::from_secs(9));
    let cut = server.ask(&fence, Method::POST, move |_| {
        clock.move_wall(SignedDuration::from_mins(1));
        without_end()
    });
    let cut = cut.await.expect_err("cut off");
    assert!(cut.downcast_ref::<FencedInFlight>().is_some(), "{cut}");
    assert!(begin.elapsed() <= Duration::from_secs(1));
}
