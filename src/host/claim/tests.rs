//! The scripts, run for true against a directory in place of libvirt's.

use std::path::{Path, PathBuf};

use super::*;
use crate::host::pool::BASE;
use crate::host::probe::Probe;

const ALLOWED: Duration = Duration::from_secs(20);

fn claim(name: &str, id: u128) -> Claim {
    Claim {
        version: CLAIM_VERSION,
        cluster: name.parse().unwrap(),
        id: Uuid::from_u128(id << 96),
        controller: "it's".into(),
        made: "2026-01-31T12:00:00Z".parse().unwrap(),
        expires: Some("2026-01-31T16:00:00Z".parse().unwrap()),
        subnet: Some("10.77.0.0/16".parse().unwrap()),
        vni: Some(7),
        nodes: 2,
        memory: MiB(192),
        vcpus: 2,
        disk: MiB(0),
    }
}

/// What `up` asks for a claim; without a token it claims nothing.
fn request<'a>(claim: &'a Claim, short_id: &'a str, how: Hold, token: Option<&'a str>) -> HoldRequest<'a> {
    HoldRequest {
        cluster: &claim.cluster,
        short_id,
        verb: "up",
        how,
        claim: token.map(|token| (claim, token)),
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn script(&self, script: &str) -> String {
        script.replace(BASE, self.0.path().to_str().unwrap())
    }

    async fn run(&self, script: &str) -> String {
        HostLink::local()
            .script(&self.script(script), ALLOWED)
            .await
            .unwrap()
    }

    async fn token(&self) -> String {
        self.run(&format!("{}token", super::token()))
            .await
            .trim()
            .to_owned()
    }

    fn path(&self, claim: &Claim) -> PathBuf {
        self.0
            .path()
            .join(format!("vcluster/{}.{}", claim.cluster, claim.short_id()))
    }

    async fn hold(&self, claim: &Claim, how: Hold, token: Option<&str>) -> (Standing, Option<Held>) {
        let short_id = claim.short_id();
        let request = request(claim, &short_id, how, token);
        let holder = script::holder("up");
        let script = self.script(&hold_script(&request, &holder, false));
        attend(&HostLink::local(), &request, &holder, &script, ALLOWED)
            .await
            .unwrap()
    }

    /// A further claim of who holds the cluster already.
    async fn hold_again(&self, claim: &Claim, held: &Held, token: &str) -> Standing {
        let short_id = claim.short_id();
        let request = request(claim, &short_id, Hold::Alone, Some(token));
        let said = self.run(&hold_script(&request, &held.holder, true)).await;
        read_answer(&request, &said).unwrap()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn of_two_who_planned_with_the_same_claims_the_second_is_told_to_plan_again() {
    let place = Place::new();
    let (one, two) = (claim("one", 1), claim("two", 2));
    let token = place.token().await;
    let (standing, held) = place.hold(&one, Hold::Alone, Some(&token)).await;
    assert_eq!(
        standing,
        Standing::Held {
            made: true,
            claim: Some(one.clone())
        }
    );
    let Standing::Changed { by: Some(by) } = place.hold(&two, Hold::Alone, Some(&token)).await.0 else {
        panic!("it must be told");
    };
    assert!(by.contains("cluster `one`, held by `vcluster up` on "), "{by}");
    assert!(!place.path(&two).exists(), "nothing of it is there");
    let token = place.token().await;
    let (standing, _held) = place.hold(&two, Hold::Alone, Some(&token)).await;
    assert!(
        matches!(standing, Standing::Held { made: true, .. }),
        "{standing:?}"
    );
    held.unwrap().release().await;

    // A claim that is there already is written anew, with the token of now.
    let token = place.token().await;
    let wider = Claim {
        nodes: 9,
        ..one.clone()
    };
    let (standing, _held) = place.hold(&wider, Hold::Alone, Some(&token)).await;
    assert_eq!(
        standing,
        Standing::Held {
            made: false,
            claim: Some(wider)
        }
    );
    assert_ne!(place.token().await, token);
    assert_eq!(names(&place.path(&one)), ["claim.json", "lock", "owner.json"]);
}

#[tokio::test]
async fn who_claims_again_keeps_his_lock_and_sees_when_it_is_one_on_nothing() {
    let place = Place::new();
    let one = claim("one", 1);
    let (_, held) = place.hold(&one, Hold::Alone, Some("")).await;
    let held = held.unwrap();
    let wider = Claim {
        nodes: 9,
        ..one.clone()
    };
    assert_eq!(
        place.hold_again(&wider, &held, "old").await,
        Standing::Changed { by: None }
    );
    let token = place.token().await;
    let standing = place.hold_again(&wider, &held, &token).await;
    assert_eq!(
        standing,
        Standing::Held {
            made: false,
            claim: Some(wider)
        }
    );
    let (standing, _) = place.hold(&one, Hold::Alone, None).await;
    assert!(matches!(standing, Standing::Busy { .. }), "{standing:?}");

    // The directory went, and another controller made it anew: his lock is another one.
    std::fs::remove_dir_all(place.path(&one)).unwrap();
    assert_eq!(place.hold_again(&one, &held, "").await, Standing::Nothing);
    assert!(!place.path(&one).exists(), "nothing is made without a lock");
    let (_, other) = place.hold(&one, Hold::Alone, Some("")).await;
    std::fs::write(place.path(&one).join("lock"), "`vcluster up` elsewhere\n").unwrap();
    assert_eq!(place.hold_again(&one, &held, "").await, Standing::Nothing);
    drop(other);
}

#[tokio::test]
async fn who_holds_a_cluster_is_named_to_others_and_let_go_with_his_connection() {
    let place = Place::new();
    let one = claim("one", 1);
    assert_eq!(place.hold(&one, Hold::Alone, None).await.0, Standing::Nothing);
    assert!(!place.path(&one).exists(), "asking for a lock makes nothing");
    let (_, held) = place.hold(&one, Hold::Alone, Some("")).await;
    for how in [Hold::Alone, Hold::Shared] {
        let Standing::Busy { holder } = place.hold(&one, how, None).await.0 else {
            panic!("it is held");
        };
        assert!(
            holder.starts_with("`vcluster up` on ")
                && holder.contains(&format!("(pid {})", std::process::id())),
            "{holder}"
        );
    }
    held.unwrap().release().await;
    let (_, first) = place.hold(&one, Hold::Shared, None).await;
    let (standing, second) = place.hold(&one, Hold::Shared, None).await;
    assert!(
        matches!(standing, Standing::Held { .. }),
        "those who only use it share it"
    );
    assert!(matches!(
        place.hold(&one, Hold::Alone, None).await.0,
        Standing::Busy { .. }
    ));
    // Without a farewell, as when the process dies.
    drop((first, second));
    let mut free = false;
    for _ in 0..100 {
        if let (Standing::Held { .. }, Some(held)) = place.hold(&one, Hold::Alone, None).await {
            held.release().await;
            free = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(free);
}

#[tokio::test]
async fn a_claim_is_taken_back_with_its_directory_unless_more_is_in_it() {
    let place = Place::new();
    let one = claim("one", 1);
    let unclaim = unclaim_script(&one.cluster, &one.short_id());
    let (_, held) = place.hold(&one, Hold::Alone, Some("")).await;
    std::fs::write(place.path(&one).join("n1.seed"), "x").unwrap();
    place.run(&unclaim).await;
    assert!(place.path(&one).join("claim.json").exists());
    std::fs::remove_file(place.path(&one).join("n1.seed")).unwrap();
    place.run(&unclaim).await;
    assert!(names(place.0.path()).is_empty(), "not even our root stays");
    held.unwrap().release().await;
    assert_eq!(place.hold(&one, Hold::Alone, None).await.0, Standing::Nothing);
    let rewritten = HostLink::local()
        .script(&place.script(&rewrite_script(&one)), ALLOWED)
        .await;
    assert!(rewritten.is_err(), "what is gone is not written anew");
    assert!(names(place.0.path()).is_empty());
}

#[tokio::test]
async fn a_directory_that_is_not_ours_is_neither_claimed_nor_locked() {
    let place = Place::new();
    let one = claim("one", 1);
    std::fs::create_dir_all(place.path(&one)).unwrap();
    std::fs::write(place.path(&one).join("x"), "x").unwrap();
    let short_id = one.short_id();
    let request = request(&one, &short_id, Hold::Alone, Some(""));
    let script = place.script(&hold_script(&request, "it", false));
    let error = attend(&HostLink::local(), &request, "it", &script, ALLOWED)
        .await
        .unwrap_err();
    assert!(matches!(error, Cause::Foreign(_)), "{error}");
    assert_eq!(names(&place.path(&one)), ["x"]);
    // An empty one is what a crash may leave between two steps.
    std::fs::remove_file(place.path(&one).join("x")).unwrap();
    let (standing, _held) = place.hold(&one, Hold::Alone, Some("")).await;
    assert!(matches!(standing, Standing::Held { made: true, .. }));
    assert_eq!(
        names(&place.0.path().join("vcluster")),
        [format!("one.{short_id}")]
    );
}

#[tokio::test]
async fn the_probe_shows_claims_with_who_holds_them() {
    let place = Place::new();
    let (one, two) = (claim("one", 1), claim("two", 2));
    let (_, _held) = place.hold(&one, Hold::Alone, Some("")).await;
    let (_, other) = place.hold(&two, Hold::Alone, Some("")).await;
    other.unwrap().release().await;
    let said = place.run(&crate::host::probe::script()).await;
    let probe = Probe::read(&said).unwrap();
    assert_eq!(probe.token, place.token().await);
    let seen: Vec<(&Claim, bool)> = probe
        .claims
        .iter()
        .map(|seen| (&seen.claim, seen.holder.is_some()))
        .collect();
    assert_eq!(seen, [(&one, true), (&two, false)]);
}
