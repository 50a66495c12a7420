use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::json;

use super::*;

const SECOND: i64 = 1000;

/// An issuer on this machine, until the test process ends.
#[derive(Clone)]
struct Local {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

/// What the issuer answers.
#[derive(Clone)]
enum Answer {
    /// A configuration, and keys with these ids.
    Keys(&'static [&'static str]),
    /// A configuration with this issuer and these keys' address.
    Configuration(String, String),
    /// A body of this size.
    Long(usize),
    Error,
}

impl Local {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = Self {
            url: format!("http://{}/one", listener.local_addr().unwrap()),
            asked: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
        };
        let serving = local.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let length = stream.read(&mut head).unwrap();
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                // Hangs up on whoever speaks TLS.
                let Some(request) = head.strip_prefix("GET ") else {
                    continue;
                };
                let (status, body) = serving.body(request.split(' ').next().unwrap());
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
                // The client may have heard enough.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        local
    }

    fn body(&self, path: &str) -> (u16, String) {
        let (issuer, keys) = (self.url.clone(), format!("{}/keys", self.url));
        let configuration =
            |issuer: &str, keys: &str| json!({"issuer": issuer, "jwks_uri": keys}).to_string();
        let is_keys = path == "/one/keys";
        if !is_keys {
            assert_eq!(path, "/one/.well-known/openid-configuration");
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
        match lock(&self.answer).clone() {
            Answer::Keys(ids) if is_keys => (200, json!({"keys": jwks(ids)}).to_string()),
            Answer::Keys(_) => (200, configuration(&issuer, &keys)),
            Answer::Configuration(issuer, keys) => (200, configuration(&issuer, &keys)),
            Answer::Long(size) => (200, " ".repeat(size)),
            Answer::Error => (500, String::new()),
        }
    }

    fn answers(&self, answer: Answer) {
        *lock(&self.answer) = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn jwks(ids: &[&str]) -> Vec<serde_json::Value> {
    // Nobody has it, but it is long enough.
    let n = "gYGB".repeat(86);
    let key = |id: &&str| json!({"kty": "RSA", "kid": id, "n": n, "e": "AQAB"});
    ids.iter().map(key).collect()
}

/// Whether the issuer has the key, as far as is known; `None`: cannot be told.
async fn has(issuers: &Issuers, local: &Local, id: &str, now_ms: i64) -> Option<bool> {
    match issuers.keys(&local.url, id, now_ms).await {
        Ok(keys) => Some(keys.has(id)),
        Err(Error::IssuerUnavailable(_)) => None,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_are_kept_for_an_hour() {
    let (issuers, local) = (Issuers::default(), Local::start(Answer::Keys(&["a"])));
    for now in [0, SECOND, FRESH_MS - 1] {
        assert_eq!(has(&issuers, &local, "a", now).await, Some(true));
    }
    assert_eq!(local.asked(), 1);
    assert_eq!(has(&issuers, &local, "a", FRESH_MS).await, Some(true));
    assert_eq!(local.asked(), 2);
}

#[tokio::test]
async fn a_new_key_is_found_five_seconds_after_the_last_look() {
    let (issuers, local) = (Issuers::default(), Local::start(Answer::Keys(&["a"])));
    assert_eq!(has(&issuers, &local, "a", 0).await, Some(true));
    local.answers(Answer::Keys(&["a", "b"]));
    let early = SHORT_PAUSE_MS - 1;
    assert_eq!(has(&issuers, &local, "b", early).await, Some(false));
    assert_eq!(local.asked(), 1);
    assert_eq!(has(&issuers, &local, "b", early + 1).await, Some(true));
    for _ in 0..3 {
        assert_eq!(has(&issuers, &local, "c", early + 2).await, Some(false));
    }
    assert_eq!(local.asked(), 2);
}

#[tokio::test]
async fn unknown_keys_are_asked_for_three_times_a_minute() {
    let (issuers, local) = (Issuers::default(), Local::start(Answer::Keys(&["a"])));
    for second in 0..60 {
        let now = second * SECOND;
        assert_eq!(has(&issuers, &local, "x", now).await, Some(false));
        assert_eq!(has(&issuers, &local, "a", now).await, Some(true));
    }
    assert_eq!(local.asked(), LOOKS);
    assert_eq!(has(&issuers, &local, "x", PAUSE_MS).await, Some(false));
    assert_eq!(local.asked(), LOOKS + 1);
}

#[tokio::test]
async fn known_keys_count_while_the_issuer_is_silent() {
    let (issuers, local) = (Issuers::default(), Local::start(Answer::Keys(&["a"])));
    assert_eq!(has(&issuers, &local, "a", 0).await, Some(true));
    local.answers(Answer::Error);
    let later = 3 * FRESH_MS;
    assert_eq!(has(&issuers, &local, "a", later).await, Some(true));
    assert_eq!(has(&issuers, &local, "b", later + SECOND).await, None);
    assert_eq!(has(&issuers, &local, "a", later + SECOND).await, Some(true));
    assert_eq!(local.asked(), 2);
    local.answers(Answer::Keys(&["b"]));
    let later = later + PAUSE_MS;
    assert_eq!(has(&issuers, &local, "a", later).await, Some(false));
    assert_eq!(has(&issuers, &local, "b", later).await, Some(true));
}

#[tokio::test]
async fn an_issuer_that_never_answered_is_asked_again_soon() {
    let (issuers, local) = (Issuers::default(), Local::start(Answer::Error));
    assert_eq!(has(&issuers, &local, "a", 0).await, None);
    local.answers(Answer::Keys(&["a"]));
    assert_eq!(has(&issuers, &local, "a", SECOND).await, None);
    assert_eq!(local.asked(), 1);
    let later = SHORT_PAUSE_MS;
    assert_eq!(has(&issuers, &local, "a", later).await, Some(true));
}

#[tokio::test]
async fn many_callers_ask_once() {
    let issuers = Arc::new(Issuers::default());
    let local = Local::start(Answer::Keys(&["a"]));
    let calls = (0..8).map(|_| {
        let (issuers, local) = (Arc::clone(&issuers), local.clone());
        tokio::spawn(async move { has(&issuers, &local, "a", 0).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), Some(true));
    }
    assert_eq!(local.asked(), 1);
}

#[tokio::test]
async fn an_answer_that_cannot_be_trusted_is_none() {
    let local = Local::start(Answer::Error);
    let keys = format!("{}/keys", local.url);
    for answer in [
        Answer::Configuration("https://login.example.test/".to_owned(), keys.clone()),
        Answer::Configuration(format!("{}/", local.url), keys),
        Answer::Configuration(local.url.clone(), "http://192.0.2.1/keys".to_owned()),
        Answer::Configuration(local.url.clone(), "https://127.0.0.1:1/keys".to_owned()),
        Answer::Configuration(local.url.clone(), "/keys".to_owned()),
        Answer::Long(2 * 1024 * 1024),
        Answer::Long(0),
    ] {
        local.answers(answer);
        assert_eq!(has(&Issuers::default(), &local, "a", 0).await, None);
    }
}

#[tokio::test]
async fn an_issuer_in_clear_text_elsewhere_is_not_asked() {
    let answer = Issuers::default().keys("http://192.0.2.1/", "a", 0).await;
    assert!(matches!(answer, Err(Error::IssuerUnavailable(_))));
}

#[tokio::test]
async fn an_issuer_that_speaks_no_tls_where_it_must_is_silent() {
    let local = Local::start(Answer::Keys(&["a"]));
    let url = local.url.replace("http:", "https:");
    let answer = Issuers::default().keys(&url, "a", 0).await;
    assert!(matches!(answer, Err(Error::IssuerUnavailable(_))));
}
