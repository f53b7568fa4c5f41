//! The service, over HTTP.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, stream::MaybeTlsStream};
use ureq::{Agent, http::Response};

use crate::{
    streams::{SCENE, ffmpeg, images, path_of, query, scene_file},
    support::{detect, example, fixture, labels, mask_cli, records},
};

/// A server that is ended with the test.
struct Served {
    child: Child,
    address: String,
    agent: Agent,
}

type Answer = Response<ureq::Body>;

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let mut child = mask_cli()
            .args(["serve", "--listen", "127.0.0.1:0", "--device", "cpu"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("listening on ")).unwrap();
        let address = line.rsplit('/').next().unwrap().to_owned();
        // Nobody reads the log, but there must be somebody to take it.
        thread::spawn(move || lines.for_each(drop));
        let agent = Agent::config_builder().http_status_as_error(false).build().new_agent();
        Self { child, address, agent }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn get(&self, path: &str) -> Answer {
        self.agent.get(self.url(path)).call().unwrap()
    }

    fn post(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.agent.post(self.url(path)).content_type(kind).send(body).unwrap()
    }

    fn image(&self, query: &str, file: &Path) -> Answer {
        self.post(
            &format!("/v1/detect{query}"),
            "application/octet-stream",
            &fs::read(file).unwrap(),
        )
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have been ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn body(mut answer: Answer) -> Value {
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

/// The status of an answer and what its `error` says.
fn refusal(answer: Answer) -> (u16, String) {
    let status = answer.status().as_u16();
    (status, body(answer)["error"].as_str().unwrap().to_owned())
}

fn form(files: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!(
            "--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\r\n"
        );
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    body.extend(b"--edge--\r\n");
    ("multipart/form-data; boundary=edge".to_owned(), body)
}

#[test]
fn an_image_has_the_same_faces_by_path_and_by_post() {
    let served = Served::start(&[]);
    // Some lie on their side and say so.
    let fixtures =
        ["rgb.png", "rotated.jpg", "cmyk.jpg", "transparent.png", "animated.gif"].map(fixture);
    for file in [example("astronaut.jpg"), example("result.jpg")].iter().chain(&fixtures) {
        let bytes = fs::read(file).unwrap();
        let by_path = &records(&detect([file]))[0];
        let same = |record: &Value| {
            let fields = ["width", "height", "faces", "error"];
            fields.iter().for_each(|field| assert_eq!(record[field], by_path[field], "{file:?}"));
        };
        same(&body(served.image("", file)));
        let (kind, sent) = form(&[("a.jpg", &bytes)]);
        same(&body(served.post("/v1/detect", &kind, &sent))[0]);
        let encoded = STANDARD.encode(&bytes);
        for data in [encoded.clone(), format!("data:image/any;base64,{encoded}")] {
            let json = json!({ "image": data }).to_string();
            same(&body(served.post("/v1/detect", "application/json", json.as_bytes())));
        }
    }
    let selected = body(served.image("?only=with_mask&min_confidence=0.9", &example("result.jpg")));
    assert!(labels(&selected).iter().all(|label| *label == "with_mask"));
    let large = body(served.image("?min_face=500", &example("astronaut.jpg")));
    assert_eq!(labels(&large), Vec::<&str>::new());
    served.stop();
}

#[test]
fn several_images_are_answered_in_their_order_each_with_its_own_error() {
    let served = Served::start(&[]);
    let (bare, masked) = (example("astronaut.jpg"), example("astronaut_masked.jpg"));
    let (bare, masked) = (fs::read(bare).unwrap(), fs::read(masked).unwrap());
    let files: Vec<(String, &[u8])> = (0..12)
        .map(|at| (format!("{at}.jpg"), [&bare[..], b"no image", &masked][at % 3]))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, *bytes)).collect();
    let (kind, sent) = form(&files);
    let answer = body(served.post("/v1/detect", &kind, &sent));
    for (at, record) in answer.as_array().unwrap().iter().enumerate() {
        assert_eq!(record["image"], format!("{at}.jpg"));
        match at % 3 {
            1 => assert_eq!(record["error"], "not an image: unknown format"),
            0 => assert_eq!(labels(record), ["without_mask"]),
            _ => assert_eq!(labels(record), ["with_mask"]),
        }
    }
    let named =
        json!({ "images": [{ "name": "x", "data": STANDARD.encode(&bare) }, "?"] }).to_string();
    let request = served.agent.post(served.url("/v1/detect")).content_type("application/json");
    let mut answer = request.header("Accept", "application/x-ndjson").send(&named).unwrap();
    let lines = answer.body_mut().read_to_string().unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), labels(&lines[0])), (2, vec!["without_mask"]));
    assert!(lines[1]["error"].as_str().unwrap().starts_with("not base64"), "{lines:?}");
}

#[test]
fn images_are_drawn_and_made_unrecognisable() {
    let served = Served::start(&[]);
    let file = example("astronaut.jpg");
    let folder = tempfile::tempdir().unwrap();
    // The same pixels as `detect --output` writes.
    let drawn = detect([&*file, Path::new("--output"), folder.path()]);
    assert_eq!(drawn.status.code(), Some(0));
    let expected = fs::read(folder.path().join("astronaut.jpg")).unwrap();
    let mut answer = served.image("?draw=true", &file);
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    assert_eq!(answer.body_mut().read_to_vec().unwrap(), expected);
    let request =
        served.agent.post(served.url("/v1/detect?blur=true")).header("Accept", "image/png");
    let mut answer = request.send(&fs::read(&file).unwrap()[..]).unwrap();
    let blurred = folder.path().join("blurred.png");
    fs::write(&blurred, answer.body_mut().read_to_vec().unwrap()).unwrap();
    let found = &records(&detect([&blurred]))[0];
    assert_eq!((found["width"].as_u64(), labels(found)), (Some(512), vec![]));
    let two = form(&[("a", b"x"), ("b", b"y")]);
    let (status, error) = refusal(served.post("/v1/detect?draw=true", &two.0, &two.1));
    assert_eq!((status, &*error), (400, "draw and blur take one image at a time"));
}

#[test]
fn what_is_too_much_or_wrong_is_refused_with_its_status() {
    let served = Served::start(&["--max-body", "1", "--max-megapixels", "1", "--timeout", "2"]);
    let post = |query: &str, kind: &str, body: &[u8]| {
        refusal(served.post(&format!("/v1/detect{query}"), kind, body))
    };
    let any = "application/octet-stream";
    let mut huge = Vec::new();
    let image = image::GrayImage::new(1200, 900);
    image.write_to(&mut std::io::Cursor::new(&mut huge), image::ImageFormat::Png).unwrap();
    let mut cut = fs::read(fixture("rgb.png")).unwrap();
    cut.truncate(60);
    for (status, words, answer) in [
        (400, "there is no image", post("", any, b"")),
        (415, "not an image", post("", any, b"hello")),
        (415, "application/pdf", post("", "image/jpeg", b"%PDF-1.7 and so on")),
        (422, "1200 x 900 pixels are more than 1 million", post("", any, &huge)),
        (422, "damaged PNG", post("", any, &cut)),
        (413, "more than 1048576 bytes", post("", any, &vec![0; 3 << 20])),
        (400, "min_confidence=2", post("?min_confidence=2", any, b"x")),
        (400, "min_confidence=NaN", post("?min_confidence=NaN", any, b"x")),
        (400, "only=x: the classes are", post("?only=x", any, b"x")),
        (400, "unknown field `size`", post("?size=3", any, b"x")),
        (400, "either `image` or `images`", post("", "application/json", b"{}")),
        (400, "and nothing else", post("", "application/json", b"{\"url\":\"http://x\"}")),
        (
            400,
            "fetches nothing",
            post("", "application/json", b"{\"image\":{\"url\":\"http://x\"}}"),
        ),
        (400, "not JSON", post("", "application/json", b"{\"image\":")),
        (400, "boundary", post("", "multipart/form-data", b"x")),
        (404, "nothing here", refusal(served.get("/v2"))),
        (405, "not with this method", refusal(served.get("/v1/detect"))),
    ] {
        assert_eq!(answer.0, status, "{words}: {answer:?}");
        assert!(answer.1.contains(words), "{words}: {answer:?}");
    }
    // Who announces more than they send, or sends nothing at all, is not waited for.
    for (sent, status) in [
        ("POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "408"),
        ("GET / HT", ""),
    ] {
        let mut connection = TcpStream::connect(&served.address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        connection.write_all(sent.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.split(' ').nth(1).unwrap_or_default() == status, "{answer}");
    }
    // A body that is cut off costs nothing but itself.
    let mut connection = TcpStream::connect(&served.address).unwrap();
    connection
        .write_all(b"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        .unwrap();
    connection.shutdown(Shutdown::Both).unwrap();
    assert_eq!(labels(&body(served.image("", &fixture("rgb.png")))).len(), 1);
}

#[test]
fn only_who_has_a_key_is_answered_and_only_named_origins_may_ask() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.txt");
    fs::write(&keys, "# ours\n0123456789abcdef0123\n\nanother-key-of-sufficient-length\n").unwrap();
    let keys = keys.display().to_string();
    let served = Served::start(&["--api-keys", &keys, "--cors", "https://example.org"]);
    let ask = |name: &str, value: &str| {
        let request =
            served.agent.post(served.url("/v1/detect")).header("Origin", "https://example.org");
        request.header(name, value).send(&b"x"[..]).unwrap()
    };
    for (name, value, status) in [
        ("X-Other", "", 401),
        ("X-Api-Key", "0123456789abcdef012", 401),
        ("X-Api-Key", "0123456789abcdef0123", 415),
        ("Authorization", "bearer another-key-of-sufficient-length", 415),
        ("Authorization", "Basic another-key-of-sufficient-length", 401),
    ] {
        let answer = ask(name, value);
        assert_eq!(answer.status(), status, "{name}: {value}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://example.org");
    }
    // A key in an address is for those who cannot send headers.
    assert_eq!(served.post("/v1/detect?key=0123456789abcdef0123", "x", b"x").status(), 401);
    assert_eq!(
        (served.get("/metrics").status(), served.get("/healthz").status()),
        ((401).try_into().unwrap(), (200).try_into().unwrap())
    );
    assert_eq!(body(served.get("/v1/info"))["api_key"], true);
    let other =
        served.agent.get(served.url("/healthz")).header("Origin", "https://else.org").call();
    assert!(!other.unwrap().headers().contains_key("access-control-allow-origin"));
    let fetching = Served::start(&["--allow-fetch"]);
    let inner = json!({ "image": { "url": served.url("/v1/info") } }).to_string();
    let (status, error) =
        refusal(fetching.post("/v1/detect", "application/json", inner.as_bytes()));
    assert_eq!(status, 400);
    assert!(error.contains("its address is not a public one"), "{error}");
    for (arguments, words) in [
        (["--api-keys", "/nowhere"], "cannot read /nowhere"),
        (["--cors", "example.org"], "example.org is no origin"),
        (["--listen", "192.0.2.1:80"], "cannot listen on 192.0.2.1:80"),
    ] {
        let output =
            mask_cli().args(["serve", "--device", "cpu"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(words) && errors.lines().count() == 1, "{errors}");
    }
}

#[test]
fn under_load_every_answer_is_200_or_429_and_a_signal_loses_none() {
    let served = Served::start(&["--queue", "3"]);
    let image = fs::read(example("astronaut.jpg")).unwrap();
    let (address, pid) = (served.url("/v1/detect"), served.child.id().to_string());
    let answers: Vec<(u16, bool)> = thread::scope(|scope| {
        let ask = |_| {
            let (agent, address, image) = (served.agent.clone(), &address, &image);
            scope.spawn(move || {
                let answers = (0..4).map(|_| {
                    let answer = agent.post(address).send(&image[..]).unwrap();
                    let again = answer.headers().contains_key("retry-after");
                    (answer.status().as_u16(), again)
                });
                answers.collect::<Vec<_>>()
            })
        };
        let askers: Vec<_> = (0..12).map(ask).collect();
        askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|answer| answer.0 == status).count();
    assert!(count(200) >= 3 && count(429) >= 1, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|(status, again)| [200, 429].contains(status) && *again == (*status == 429))
    );
    let mut figures = served.get("/metrics");
    let figures = figures.body_mut().read_to_string().unwrap();
    let done = format!(
        "mask_requests_total{{path=\"/v1/detect\",method=\"POST\",status=\"200\"}} {}",
        count(200)
    );
    assert!(figures.contains(&done) && figures.contains("mask_queue 0\n"), "{figures}");
    assert!(
        figures.contains(&format!("mask_faces_total{{class=\"without_mask\"}} {}\n", count(200))),
        "{figures}"
    );

    // What was taken before the signal is answered after it.
    let accepted: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut connection = TcpStream::connect(&served.address).unwrap();
            let head = format!("POST /v1/detect HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", image.len());
            connection.write_all(&[head.as_bytes(), &image].concat()).unwrap();
            connection
        })
        .collect();
    while !served.get("/metrics").body_mut().read_to_string().unwrap().contains("mask_queue 3\n") {}
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    for mut connection in accepted {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("without_mask"), "{answer}");
    }
    let mut served = served;
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(&served.address).is_err());
}

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// The next record.
fn next(socket: &mut Socket) -> Value {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

#[test]
fn a_cameras_frames_are_followed_and_the_newest_counts() {
    let served = Served::start(&["--live", "1"]);
    let address = format!("ws://{}/v1/live?min_confidence=0.5", served.address);
    let (mut socket, _) = tungstenite::connect(&address).unwrap();
    let image = fs::read(example("astronaut.jpg")).unwrap();
    for frame in 0..3 {
        socket.send(Message::binary(image.clone())).unwrap();
        let record = next(&mut socket);
        assert_eq!(
            (record["frame"].as_u64(), record["source"].as_str()),
            (Some(frame), Some("live"))
        );
        assert_eq!(
            (labels(&record), &record["faces"][0]["track"]),
            (vec!["without_mask"], &json!(1))
        );
    }
    socket.send(Message::binary(&b"no image"[..])).unwrap();
    let error = next(&mut socket);
    assert_eq!(
        (error["frame"].as_u64(), error["error"].as_str()),
        (Some(3), Some("not an image: unknown format"))
    );
    // There is room for one.
    match tungstenite::connect(&address).unwrap_err() {
        tungstenite::Error::Http(answer) => assert_eq!(answer.status(), 429),
        error => panic!("{error}"),
    }
    // Of many at once the last is looked at, and not all before it.
    (0..40).for_each(|_| socket.write(Message::binary(image.clone())).unwrap());
    socket.flush().unwrap();
    let mut frames = Vec::new();
    while frames.last() != Some(&43) {
        frames.push(next(&mut socket)["frame"].as_u64().unwrap());
    }
    assert!(frames.is_sorted() && frames.len() < 40, "{frames:?}");
    // A server that is stopped says so.
    let pid = served.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    while !matches!(socket.read(), Ok(Message::Close(_)) | Err(_)) {}
    let mut served = served;
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_page_and_the_description_are_whole_and_ask_nobody_else() {
    let served = Served::start(&[]);
    for path in ["/", "/api", "/cameras"] {
        let mut answer = served.get(path);
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        let page = answer.body_mut().read_to_string().unwrap();
        let parts = page.split("\"/page/").skip(1).map(|rest| rest.split('"').next().unwrap());
        for part in parts {
            let answer = served.get(&format!("/page/{part}"));
            assert_eq!(answer.status(), 200, "{part}");
            let tag = answer.headers()["etag"].clone();
            let again = served.agent.get(served.url(&format!("/page/{part}")));
            assert_eq!(again.header("If-None-Match", tag).call().unwrap().status(), 304);
        }
    }
    assert_eq!(served.get("/page/../Cargo.toml").status(), 404);
    let description = body(served.get("/openapi.json"));
    let paths: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/healthz",
            "/metrics",
            "/readyz",
            "/v1/detect",
            "/v1/info",
            "/v1/streams",
            "/v1/streams/{name}",
            "/v1/streams/{name}/counts",
            "/v1/streams/{name}/events",
        ]
    );
    let face = &description["components"]["schemas"]["FaceRecord"]["properties"];
    assert!(face["box"].is_object() && face["probabilities"].is_object(), "{face}");
}

/// A stream that could never begin would otherwise only be missed.
#[test]
#[ignore = "needs ffmpeg, as streams do"]
fn streams_that_cannot_begin_keep_the_service_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let config = path_of(&folder, "streams.toml");
    let scene = scene_file(&folder, "[[rule]]\nname = 'a'\nwhen = 'class'\nclass = 'x'");
    fs::write(&config, format!("[[stream]]\nsource = '0'\nscene = '{scene}'")).unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--config", &config];
    let output = mask_cli().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("there is no class `x`") && !errors.contains("listening"), "{errors}");
}

#[test]
#[ignore = "needs ffmpeg; one of the streams"]
fn streams_are_watched_beside_it_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let video = path_of(&folder, "scene.mp4");
    let images = images(&folder, 20, 256, 192);
    ffmpeg(&[
        "-stream_loop",
        "4",
        "-framerate",
        "10",
        "-i",
        &images,
        "-pix_fmt",
        "yuv420p",
        &video,
    ]);
    let scene = scene_file(&folder, SCENE);
    let (config, db) = (path_of(&folder, "streams.toml"), path_of(&folder, "record.sqlite"));
    // At the pace of its own times, as a camera.
    let streams = format!(
        "[[stream]]\nname = 'the door'\nsource = '{video}'\nscene = '{scene}'\nlive = true\n\
         [[stream]]\nname = 'yard'\nsource = 'http://127.0.0.1:9/video'\n"
    );
    fs::write(&config, streams).unwrap();
    let served = Served::start(&["--config", &config, "--db", &db, "--db-interval", "1"]);
    let door = "/v1/streams/the%20door";
    let (mut socket, _) =
        tungstenite::connect(format!("ws://{}{door}/frames", served.address)).unwrap();
    let Message::Binary(jpeg) = socket.read().unwrap() else { panic!("no picture") };
    let picture = image::load_from_memory(&jpeg).unwrap();
    assert_eq!((picture.width(), picture.height()), (256, 192));
    let mut mjpeg = served.get(&format!("{door}/mjpeg"));
    assert!(
        mjpeg.headers()["content-type"].to_str().unwrap().starts_with("multipart/x-mixed-replace")
    );
    let mut head = [0; 20];
    mjpeg.body_mut().as_reader().read_exact(&mut head).unwrap();
    assert_eq!(&head[..11], b"--picture\r\n");
    let mut told = served.get("/v1/events");
    let mut lines = BufReader::new(told.body_mut().as_reader()).lines().map(Result::unwrap);
    let event = lines.find_map(|line| Some(line.strip_prefix("data: ")?.to_owned())).unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    assert!(["bare", "visitor"].contains(&event["rule"].as_str().unwrap()), "{event}");
    let all = body(served.get("/v1/streams"));
    assert_eq!((&all[0]["name"], &all[0]["condition"]), (&json!("the door"), &json!("live")));
    assert_eq!(
        (&all[1]["condition"], &all[1]["present"]["with_mask"]),
        (&json!("lost"), &json!(0))
    );
    assert!(all[1]["reason"].as_str().unwrap().contains("refused"), "{all}");
    assert_eq!(all[0]["people"]["without_mask"], 1, "{all}");
    // At its end the door is over, and its past is in the database.
    while body(served.get(door))["condition"] != "ended" {
        thread::sleep(Duration::from_millis(100));
    }
    let events = body(served.get(&format!("{door}/events?limit=2")));
    let recorded = query(
        &db,
        "SELECT at, rule FROM event JOIN session ON session.id = event.session
                               WHERE source = 'the door' ORDER BY event.id DESC LIMIT 2",
    );
    let answered: Vec<String> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            format!("{} {}", event["at"].as_str().unwrap(), event["rule"].as_str().unwrap())
        })
        .collect();
    assert_eq!(answered, recorded);
    let counts = body(served.get(&format!("{door}/counts")));
    let people = counts.as_array().unwrap().iter().filter(|count| count["label"] == "without_mask");
    assert!(
        people.clone().count() >= 9 && people.clone().all(|count| count["most"] == 1),
        "{counts}"
    );
    for (path, status) in [("/v1/streams/no", 404), ("/v1/streams/yard/events?limit=0", 400)] {
        assert_eq!(refusal(served.get(path)).0, status);
    }
    assert_eq!(body(served.get("/v1/streams/yard/counts")), json!([]));
    served.stop();
    assert_eq!(query(&db, "SELECT count(*) FROM session WHERE ended IS NULL"), ["0"]);
}
