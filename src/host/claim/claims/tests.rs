//! Runs the real scripts against a temporary directory instead of libvirt's.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::*;
use crate::base::units::MiB;
use crate::host::claim::request::LockMode;
use crate::host::inspect::probe::Probe;
use crate::host::layout::BASE;
use crate::inventory::{CLAIM_VERSION, ClaimedNetwork};

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
        networks: Vec::new(),
        nodes: 2,
        memory: MiB(192),
        vcpus: 2,
        disk: MiB(0),
    }
}

/// The request of `up` for a claim; without a token it only locks.
fn request<'a>(
    claim: &'a Claim,
    cluster: &'a ClusterRef,
    how: LockMode,
    token: Option<&'a str>,
) -> LockRequest<'a> {
    LockRequest {
        cluster,
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
        self.run(&format!("{}token", crate::host::layout::token()))
            .await
            .trim()
            .to_owned()
    }

    fn path(&self, claim: &Claim) -> PathBuf {
        self.0
            .path()
            .join(format!("vcluster/{}", claim.cluster_ref().directory_name()))
    }

    async fn hold(&self, claim: &Claim, how: LockMode, token: Option<&str>) -> (LockState, Option<HostLock>) {
        let cluster = claim.cluster_ref();
        let request = request(claim, &cluster, how, token);
        let holder = script::holder("up");
        let script = self.script(&hold_script(&request, &holder, false));
        keep_alive(&HostLink::local(), &request, &holder, &script, ALLOWED)
            .await
            .unwrap()
    }

    /// Another claim of a command that already holds the lock.
    async fn hold_again(&self, claim: &Claim, held: &HostLock, token: &str) -> LockState {
        let cluster = claim.cluster_ref();
        let request = request(claim, &cluster, LockMode::Exclusive, Some(token));
        let output = self.run(&hold_script(&request, &held.holder, true)).await;
        read_answer(&request, &output).unwrap()
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
async fn of_two_commands_that_planned_with_the_same_claims_the_second_must_plan_again() {
    let place = Place::new();
    let (one, two) = (claim("one", 1), claim("two", 2));
    let token = place.token().await;
    let (state, held) = place.hold(&one, LockMode::Exclusive, Some(&token)).await;
    assert_eq!(
        state,
        LockState::Held {
            made: true,
            claim: Some(one.clone())
        }
    );
    let LockState::Changed { by: Some(by) } = place.hold(&two, LockMode::Exclusive, Some(&token)).await.0
    else {
        panic!("it must plan again");
    };
    assert!(by.contains("cluster `one`, held by `vcluster up` on "), "{by}");
    assert!(!place.path(&two).exists(), "nothing of it exists");
    let token = place.token().await;
    let (state, _held) = place.hold(&two, LockMode::Exclusive, Some(&token)).await;
    assert!(matches!(state, LockState::Held { made: true, .. }), "{state:?}");
    held.unwrap().release().await;

    // An existing claim is overwritten, with the current token.
    let token = place.token().await;
    let wider = Claim {
        nodes: 9,
        ..one.clone()
    };
    let (state, _held) = place.hold(&wider, LockMode::Exclusive, Some(&token)).await;
    assert_eq!(
        state,
        LockState::Held {
            made: false,
            claim: Some(wider)
        }
    );
    assert_ne!(place.token().await, token);
    assert_eq!(names(&place.path(&one)), ["claim.json", "lock", "owner.json"]);
}

#[tokio::test]
async fn a_claim_of_many_networks_is_read_whole() {
    let place = Place::new();
    let network = |number: u32| ClaimedNetwork {
        name: format!("{}{number}", "n".repeat(39)).parse().unwrap(),
        subnet: Some("100.100.100.128/25".parse().unwrap()),
        vni: Some(0x00ff_ffff - number),
    };
    let claim = Claim {
        controller: "c".repeat(128),
        networks: (1..8).map(network).collect(),
        ..claim(&"c".repeat(40), 1)
    };
    let size = serde_json::to_string(&claim).unwrap().len();
    assert!(size > 1024 && size <= LIMIT, "{size}");
    let (state, held) = place.hold(&claim, LockMode::Exclusive, Some("")).await;
    let is_whole =
        |state: &LockState| matches!(state, LockState::Held { claim: Some(read), .. } if *read == claim);
    assert!(is_whole(&state), "{state:?}");
    let held = held.unwrap();
    let token = place.token().await;
    let state = place.hold_again(&claim, &held, &token).await;
    assert!(is_whole(&state), "{state:?}");
}

#[tokio::test]
async fn a_second_claim_keeps_the_lock_and_notices_if_the_lock_file_was_replaced() {
    let place = Place::new();
    let one = claim("one", 1);
    let (_, held) = place.hold(&one, LockMode::Exclusive, Some("")).await;
    let held = held.unwrap();
    let wider = Claim {
        nodes: 9,
        ..one.clone()
    };
    assert_eq!(
        place.hold_again(&wider, &held, "old").await,
        LockState::Changed { by: None }
    );
    let token = place.token().await;
    let state = place.hold_again(&wider, &held, &token).await;
    assert_eq!(
        state,
        LockState::Held {
            made: false,
            claim: Some(wider)
        }
    );
    let (state, _) = place.hold(&one, LockMode::Exclusive, None).await;
    assert!(matches!(state, LockState::Busy { .. }), "{state:?}");

    // The directory is removed, and another controller creates it again, with its own lock.
    std::fs::remove_dir_all(place.path(&one)).unwrap();
    assert_eq!(place.hold_again(&one, &held, "").await, LockState::Nothing);
    assert!(!place.path(&one).exists(), "nothing is created without a lock");
    let (_, other) = place.hold(&one, LockMode::Exclusive, Some("")).await;
    std::fs::write(place.path(&one).join("lock"), "`vcluster up` elsewhere\n").unwrap();
    assert_eq!(place.hold_again(&one, &held, "").await, LockState::Nothing);
    drop(other);
}

#[tokio::test]
async fn a_lock_names_its_holder_to_others_and_ends_with_its_connection() {
    let place = Place::new();
    let one = claim("one", 1);
    assert_eq!(
        place.hold(&one, LockMode::Exclusive, None).await.0,
        LockState::Nothing
    );
    assert!(!place.path(&one).exists(), "a request for a lock creates nothing");
    let (_, held) = place.hold(&one, LockMode::Exclusive, Some("")).await;
    for how in [LockMode::Exclusive, LockMode::Shared] {
        let LockState::Busy { holder } = place.hold(&one, how, None).await.0 else {
            panic!("it is locked");
        };
        assert!(
            holder.starts_with("`vcluster up` on ")
                && holder.contains(&format!("(pid {})", std::process::id())),
            "{holder}"
        );
    }
    held.unwrap().release().await;
    let (_, first) = place.hold(&one, LockMode::Shared, None).await;
    let (state, second) = place.hold(&one, LockMode::Shared, None).await;
    assert!(
        matches!(state, LockState::Held { .. }),
        "commands that only use it share the lock"
    );
    assert!(matches!(
        place.hold(&one, LockMode::Exclusive, None).await.0,
        LockState::Busy { .. }
    ));
    // Without a release, as when the process dies.
    drop((first, second));
    let mut free = false;
    for _ in 0..100 {
        if let (LockState::Held { .. }, Some(held)) = place.hold(&one, LockMode::Exclusive, None).await {
            held.release().await;
            free = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(free);
}

#[tokio::test]
async fn a_claim_is_reverted_with_its_directory_unless_more_is_in_it() {
    let place = Place::new();
    let one = claim("one", 1);
    let unclaim = unclaim_script(&one.cluster_ref());
    let (_, held) = place.hold(&one, LockMode::Exclusive, Some("")).await;
    std::fs::write(place.path(&one).join("n1.seed"), "x").unwrap();
    place.run(&unclaim).await;
    assert!(place.path(&one).join("claim.json").exists());
    std::fs::remove_file(place.path(&one).join("n1.seed")).unwrap();
    place.run(&unclaim).await;
    assert!(names(place.0.path()).is_empty(), "our root is removed too");
    held.unwrap().release().await;
    assert_eq!(
        place.hold(&one, LockMode::Exclusive, None).await.0,
        LockState::Nothing
    );
    let rewritten = HostLink::local()
        .script(&place.script(&rewrite_script(&one)), ALLOWED)
        .await;
    assert!(rewritten.is_err(), "a removed claim is not written again");
    assert!(names(place.0.path()).is_empty());
}

#[tokio::test]
async fn a_directory_that_is_not_ours_is_neither_claimed_nor_locked() {
    let place = Place::new();
    let one = claim("one", 1);
    std::fs::create_dir_all(place.path(&one)).unwrap();
    std::fs::write(place.path(&one).join("x"), "x").unwrap();
    let cluster = one.cluster_ref();
    let request = request(&one, &cluster, LockMode::Exclusive, Some(""));
    let script = place.script(&hold_script(&request, "it", false));
    let error = keep_alive(&HostLink::local(), &request, "it", &script, ALLOWED)
        .await
        .unwrap_err();
    assert!(matches!(error, Cause::Foreign(_)), "{error}");
    assert_eq!(names(&place.path(&one)), ["x"]);
    // A crash between two steps may leave an empty one.
    std::fs::remove_file(place.path(&one).join("x")).unwrap();
    let (state, _held) = place.hold(&one, LockMode::Exclusive, Some("")).await;
    assert!(matches!(state, LockState::Held { made: true, .. }));
    assert_eq!(
        names(&place.0.path().join("vcluster")),
        [cluster.directory_name()]
    );
}

#[tokio::test]
async fn the_probe_returns_claims_with_their_holders() {
    let place = Place::new();
    let (one, two) = (claim("one", 1), claim("two", 2));
    let (_, _held) = place.hold(&one, LockMode::Exclusive, Some("")).await;
    let (_, other) = place.hold(&two, LockMode::Exclusive, Some("")).await;
    other.unwrap().release().await;
    let output = place.run(&crate::host::inspect::probe::script()).await;
    let probe = Probe::read(&output).unwrap();
    assert_eq!(probe.token, place.token().await);
    let seen: Vec<(&Claim, bool)> = probe
        .claims
        .iter()
        .map(|seen| (&seen.claim, seen.holder.is_some()))
        .collect();
    assert_eq!(seen, [(&one, true), (&two, false)]);
}
