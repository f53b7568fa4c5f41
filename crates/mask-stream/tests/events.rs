//! Rules on people who are made up.
#![allow(clippy::unwrap_used, reason = "tests")]

use geometry::{BoundingBox, ImageSize};
use mask_detector::FaceDetection;
use mask_stream::{Condition, Observer, Scene};

const SIZE: ImageSize = ImageSize { width: 1000, height: 500 };
const CLASSES: [&str; 2] = ["with_mask", "without_mask"];

fn classes() -> Vec<String> {
    CLASSES.map(str::to_owned).to_vec()
}

fn observer(scene: &str) -> Observer {
    Observer::new("camera", toml::from_str::<Scene>(scene).unwrap(), &classes()).unwrap()
}

/// A face of a class at a place, in parts of the picture.
fn face(track: u64, class: usize, [x, y]: [f32; 2]) -> FaceDetection {
    let (x, y) = (x * 1000.0, y * 500.0);
    let bbox = BoundingBox { x_min: x - 10.0, y_min: y - 10.0, x_max: x + 10.0, y_max: y + 10.0 };
    let mut probabilities = vec![0.1; 2];
    probabilities[class] = 0.9;
    FaceDetection::new(bbox, 0.9, class, probabilities, classes().into()).in_track(track)
}

/// Ten frames a second; the times of the events in tenths, and their messages.
fn run(
    observer: &mut Observer,
    frames: impl IntoIterator<Item = Vec<FaceDetection>>,
) -> Vec<(usize, String)> {
    let mut events = Vec::new();
    for (at, faces) in frames.into_iter().enumerate() {
        let found = observer.see(at as f64 / 10.0, SIZE, &faces, &[]);
        events.extend(found.into_iter().map(|event| (at, event.message)));
    }
    events
}

#[test]
fn somebody_without_a_mask_is_told_of_once_and_after_a_while() {
    let rule = "[[rule]]\nname = 'bare'\nwhen = 'class'\nclass = 'without_mask'\nseconds = 2.95\ncooldown = 2";
    // The first person is bare from frame 10 on, but for frame 20; a second one from frame 50 on.
    let frames = (0..100).map(|frame| {
        let first = usize::from(frame >= 10 && frame != 20);
        let second = usize::from(frame >= 50);
        vec![face(1, first, [0.2, 0.5]), face(2, second, [0.8, 0.5])]
    });
    let events = run(&mut observer(rule), frames);
    let told = "without_mask for 2.95 s".to_owned();
    assert_eq!(events, [(51, told.clone()), (80, told)]);
}

#[test]
fn a_cooldown_delays_but_forgets_nobody() {
    let rule = "[[rule]]\nname = 'bare'\nwhen = 'class'\nclass = 'without_mask'\nseconds = 1\ncooldown = 5";
    let frames = (0..80).map(|_| vec![face(1, 1, [0.2, 0.5]), face(2, 1, [0.8, 0.5])]);
    let times: Vec<usize> =
        run(&mut observer(rule), frames).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [10, 60]);
}

#[test]
fn zones_count_only_who_is_in_them() {
    let scene = "
        [[zone]]
        name = 'entrance'
        polygon = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
        [[rule]]
        name = 'bare'
        when = 'class'
        class = 'without_mask'
        zone = 'entrance'
        [[rule]]
        name = 'full'
        when = 'people'
        above = 1
        seconds = 1
        zone = 'entrance'
    ";
    let frames = (0..40).map(|frame| {
        let walks = face(1, 1, [1.0 - 0.02 * frame as f32, 0.5]);
        vec![walks, face(2, 0, [0.1, 0.5]), face(3, 1, [0.9, 0.5])]
    });
    let mut observer = observer(scene);
    let mut events = Vec::new();
    for (at, faces) in frames.into_iter().enumerate() {
        for event in observer.see(at as f64 / 10.0, SIZE, &faces, &[]) {
            events.push((at, event.rule, event.track, event.zone, event.people));
        }
    }
    let entrance = Some("entrance".to_owned());
    assert_eq!(
        events,
        [
            (26, "bare".to_owned(), Some(1), entrance.clone(), None),
            (36, "full".to_owned(), None, entrance, Some(2)),
        ]
    );
}

#[test]
fn a_share_is_one_over_a_time() {
    let rule = "[[rule]]\nname = 'many'\nwhen = 'share'\nclass = 'without_mask'\nabove = 0.25\nseconds = 3\ncooldown = 0";
    // Of four people one is bare, from frame 60 on two: a quarter is not more than a quarter.
    let frames = (0..100).map(|frame| {
        (0..4u64)
            .map(|n| face(n + 1, usize::from(n == 0 || n == 1 && frame >= 60), [0.2, 0.5]))
            .collect()
    });
    let events = run(&mut observer(rule), frames);
    assert_eq!(events[0].0, 60, "{events:?}");
    assert!(events[1].0 >= 90, "{events:?}");
}

#[test]
fn lines_tell_who_crossed_them_and_which_way() {
    let scene = "
        [[line]]
        name = 'door'
        from = [0.5, 1.0]
        to = [0.5, 0.0]
        [[rule]]
        name = 'visitor'
        when = 'crossed'
        line = 'door'
        direction = 'in'
        cooldown = 0
    ";
    let mut observer = observer(scene);
    // There and back.
    let way = (0..20).map(|frame| if frame < 10 { 0.3 + 0.05 * frame as f32 } else { 0.3 });
    let events = run(&mut observer, way.map(|x| vec![face(7, 0, [x, 0.5])]));
    assert_eq!(events, [(5, "door crossed in by with_mask".to_owned())]);
    let crossings: Vec<_> = observer.crossings().collect();
    assert_eq!((crossings[0].0, crossings[0].1.inwards, crossings[0].1.outwards), ("door", 1, 1));
}

#[test]
fn the_source_itself_is_told_of() {
    let mut observer = observer("[[rule]]\nname = 'gone'\nwhen = 'lost'");
    let events = observer.source_is(&Condition::Lost, 4.0, "connection refused");
    assert_eq!(
        (events[0].rule.as_str(), events[0].message.as_str()),
        ("gone", "connection refused")
    );
    assert!(observer.source_is(&Condition::Back, 5.0, "").is_empty());
    assert!(observer.source_is(&Condition::Lost, 6.0, "").is_empty(), "within the cooldown");
}

#[test]
fn scenes_that_do_not_hold_together_are_refused() {
    for (scene, words) in [
        (
            "[[rule]]\nname = 'a'\nwhen = 'class'\nclass = 'mask'",
            "there is no class `mask`, but with_mask",
        ),
        ("[[rule]]\nname = 'a'\nwhen = 'crossed'\nline = 'x'", "there is no line `x`"),
        ("[[rule]]\nname = 'a'\nwhen = 'people'\nabove = 1\nzone = 'x'", "there is no zone `x`"),
        ("[[rule]]\nname = 'a'\nwhen = 'people'\nabove = 1\nsecond = 3", "unknown field `second`"),
        (
            "[[rule]]\nname = 'a'\nwhen = 'share'\nclass = 'with_mask'\nabove = 25\nseconds = 3",
            "out of range",
        ),
        ("[[rule]]\nname = 'a'\nwhen = 'noon'", "unknown variant `noon`"),
        ("[[zone]]\nname = 'z'\npolygon = [[0, 0], [1, 1]]", "fewer than three corners"),
        ("[[line]]\nname = 'l'\nfrom = [0, 0]\nto = [0, 0]", "has no length"),
        (
            "[[rule]]\nname = 'a'\nwhen = 'lost'\n[[rule]]\nname = 'a'\nwhen = 'back'",
            "two rules are called `a`",
        ),
        ("[[rules]]\nname = 'a'", "unknown field `rules`"),
    ] {
        let error = match toml::from_str::<Scene>(scene) {
            Ok(scene) => scene.check(&classes()).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(words), "{scene}: {error}");
    }
}
