use super::*;

const SECOND: i64 = 1_000_000;
const NOW: i64 = 1_000_000 * SECOND;

fn partition() -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: 0 }
}

fn agent(number: u128) -> AgentId {
    AgentId::from_u128(number)
}

/// News of lane 1, sent and read at `at`.
fn said(mark: Option<i64>, at: i64) -> LaneNews {
    LaneNews::of_agent(agent(1), mark, false, at, at)
}

fn only(lanes: &Lanes) -> (Option<i64>, i64, LaneStatus) {
    let lanes: Vec<_> = lanes.iter().collect();
    assert_eq!(lanes.len(), 1);
    (lanes[0].mark_micros, lanes[0].heard_micros, lanes[0].status)
}

/// A partition that is read up to its end once a second.
struct Scene {
    lanes: Lanes,
    listener: Listener,
    now: i64,
}

impl Scene {
    fn new() -> Self {
        let listener = Listener::new(Duration::from_secs(600));
        Self { lanes: Lanes::default(), listener, now: NOW }
    }

    fn hear(&mut self, mut news: LaneNews) {
        self.listener.hear(&mut news);
        self.lanes.hear(&news, &partition());
    }

    fn listen(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += SECOND;
            self.listener.caught_up(self.now, &mut self.lanes);
        }
    }
}

#[test]
fn a_lane_may_take_its_word_back() {
    let mut lanes = Lanes::default();
    lanes.hear(&said(Some(90), 100), &partition());
    lanes.hear(&said(Some(70), 110), &partition());
    assert_eq!(only(&lanes), (Some(70), 110, LaneStatus::Live));
    lanes.hear(&said(None, 120), &partition());
    assert_eq!(only(&lanes), (Some(70), 120, LaneStatus::Live));
}

#[test]
fn a_lane_that_never_said_its_mark_has_none() {
    let mut lanes = Lanes::default();
    lanes.hear(&said(None, 100), &partition());
    assert_eq!(only(&lanes), (None, 100, LaneStatus::Live));
}

#[test]
fn a_clock_that_runs_ahead_cannot_push_the_mark_past_now() {
    let mark = |mark: i64, sent: i64| LaneNews::of_agent(agent(1), Some(mark), false, sent, NOW).mark_micros;
    let hour = 3600 * SECOND;
    // Its lag is kept: a minute behind its own clock is a minute behind ours.
    assert_eq!(mark(NOW + hour - 60 * SECOND, NOW + hour), Some(NOW - 60 * SECOND));
    assert_eq!(mark(NOW + hour, NOW + hour), Some(NOW));
    // A mark beyond its own clock is nonsense, and still not past now.
    assert_eq!(mark(NOW + hour, NOW), Some(NOW));
    // Behind, or just old: it is what it is.
    assert_eq!(mark(NOW - hour, NOW - hour), Some(NOW - hour));
}

#[test]
fn a_clock_that_runs_behind_is_not_silence() {
    let mut scene = Scene::new();
    let hour = 3600 * SECOND;
    // In a backlog, the time it was sent is all that is known.
    scene.hear(LaneNews::of_agent(agent(1), Some(NOW - hour), false, NOW - hour, NOW));
    assert_eq!(only(&scene.lanes), (Some(NOW - hour), NOW - hour, LaneStatus::Live));
    scene.listen(1);
    scene.hear(LaneNews::of_agent(agent(1), Some(NOW - hour), false, NOW - hour, NOW + SECOND));
    assert_eq!(only(&scene.lanes), (Some(NOW - hour), NOW + SECOND, LaneStatus::Live));
}

#[test]
fn a_dead_agent_retires_after_ten_minutes_of_listening_and_comes_back() {
    let mut scene = Scene::new();
    scene.hear(said(Some(NOW), NOW));
    scene.listen(600);
    assert_eq!(only(&scene.lanes), (Some(NOW), NOW, LaneStatus::Live), "one second is not yet over");
    scene.listen(1);
    assert_eq!(only(&scene.lanes), (Some(NOW), NOW, LaneStatus::Retired));
    let now = scene.now;
    scene.hear(said(Some(now), now));
    assert_eq!(only(&scene.lanes), (Some(now), now, LaneStatus::Live));
    scene.listen(599);
    assert_eq!(only(&scene.lanes).2, LaneStatus::Live);
}

#[test]
fn while_the_log_is_away_nobody_retires() {
    let mut scene = Scene::new();
    scene.hear(said(Some(NOW), NOW));
    scene.listen(300);
    scene.now += 3600 * SECOND;
    scene.listen(300);
    assert_eq!(only(&scene.lanes).2, LaneStatus::Live);
    // Nor does a clock that jumps make time pass.
    scene.now -= 7200 * SECOND;
    scene.listen(1);
    assert_eq!(only(&scene.lanes).2, LaneStatus::Live);
    scene.listen(2);
    assert_eq!(only(&scene.lanes).2, LaneStatus::Retired);
}

#[test]
fn a_lane_that_keeps_speaking_never_retires() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        let now = scene.now;
        scene.hear(said(None, now));
        scene.listen(599);
    }
    assert_eq!(only(&scene.lanes).2, LaneStatus::Live);
}

#[test]
fn a_goodbye_is_kept_with_its_last_mark_and_is_not_silence() {
    let mut scene = Scene::new();
    scene.hear(said(Some(NOW), NOW));
    scene.hear(LaneNews { is_goodbye: true, ..said(Some(NOW + 5), NOW + 5) });
    scene.listen(10_000);
    assert_eq!(only(&scene.lanes), (Some(NOW + 5), NOW + 5, LaneStatus::Goodbye));
    let now = scene.now;
    scene.hear(said(Some(now), now));
    assert_eq!(only(&scene.lanes).2, LaneStatus::Live);
}

#[test]
fn a_foreign_lane_is_marked_by_its_messages_and_at_the_end_of_the_log_by_now() {
    let mut scene = Scene::new();
    let hour = 3600 * SECOND;
    let sent = |sent: i64, now: i64| LaneNews::of_foreigner(agent(1), sent, now);
    // Behind: the marks are the messages' times.
    scene.hear(sent(NOW - hour, NOW));
    assert_eq!(only(&scene.lanes).0, Some(NOW - hour));
    scene.hear(sent(NOW - hour / 2, NOW));
    assert_eq!(only(&scene.lanes).0, Some(NOW - hour / 2));
    scene.listen(1);
    assert_eq!(only(&scene.lanes), (Some(NOW + SECOND), NOW + SECOND, LaneStatus::Live));
    // What was read to the end was read, whatever a producer's clock says.
    scene.hear(sent(NOW - hour, NOW + SECOND));
    assert_eq!(only(&scene.lanes).0, Some(NOW + SECOND));
    scene.hear(sent(NOW + hour, NOW + SECOND));
    assert_eq!(only(&scene.lanes).0, Some(NOW + SECOND));
    // Idle, it stays complete; after long it is no longer counted.
    scene.listen(599);
    assert_eq!(only(&scene.lanes), (Some(NOW + 600 * SECOND), NOW + 600 * SECOND, LaneStatus::Live));
    scene.listen(1);
    assert_eq!(only(&scene.lanes), (Some(NOW + 600 * SECOND), NOW + 600 * SECOND, LaneStatus::Goodbye));
    assert!(scene.lanes.iter().all(|lane| lane.is_estimated));
}

#[test]
fn what_changed_is_told() {
    let mut lanes = Lanes::default();
    lanes.hear(&said(Some(1), 1), &partition());
    lanes.hear(&LaneNews::of_agent(agent(2), Some(2), false, 2, 2), &partition());
    let stored = lanes.clone();
    assert_eq!(lanes.changed_since(&stored), []);
    lanes.hear(&said(Some(3), 3), &partition());
    let changed: Vec<_> = lanes.changed_since(&stored).iter().map(|lane| lane.agent).collect();
    assert_eq!(changed, [agent(1)]);
    assert_eq!(Lanes::new(&lanes.changed_since(&Lanes::default())), lanes);
}

#[test]
fn only_a_stored_retired_lane_is_dismissed() {
    let lane = |number, status| LaneState {
        partition: partition(),
        agent: agent(number),
        mark_micros: Some(NOW),
        heard_micros: NOW,
        status,
        is_estimated: false,
    };
    let stored =
        Lanes::new(&[lane(1, LaneStatus::Retired), lane(2, LaneStatus::Live), lane(3, LaneStatus::Retired)]);
    let mut lanes = stored.clone();
    // It has retired since, and the catalog has not been told.
    lanes.0.insert(agent(2), lane(2, LaneStatus::Retired));
    // It has come back since.
    lanes.hear(&LaneNews::of_agent(agent(3), Some(NOW), false, NOW, NOW), &partition());
    assert!(lanes.has_retired());
    lanes.forget_dismissed(&stored, &[].into());
    assert_eq!(lanes.0.keys().copied().collect::<Vec<_>>(), [agent(2), agent(3)]);
    let mut kept = stored.clone();
    kept.forget_dismissed(&stored, &[agent(1), agent(3)].into());
    assert_eq!(kept, stored, "what the catalog still has is not dismissed");
}
