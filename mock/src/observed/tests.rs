use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn uniform() -> Arc<Distribution> {
    Arc::new(Distribution::Uniform { min: 0.0, max: 0.1 })
}

fn observer(latency: Arc<Distribution>) -> Observer {
    let route = "default".to_owned();
    Observer::new(vec![Declared { route, latency }])
}

fn answered(milliseconds: u32) -> Outcome {
    Outcome::Answered {
        service: MILLISECOND * milliseconds,
        served: MILLISECOND * milliseconds,
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_what_became_of_them() {
    let observer = observer(uniform());
    observer.arrived(0).finish(answered(3));
    observer.arrived(0).finish(Outcome::Refused);
    observer.arrived(0).finish(Outcome::Fault {
        kind: FaultKind::Timeout,
        service: MILLISECOND,
        served: MILLISECOND * 2,
    });
    drop(observer.arrived(0));
    let counted = observer.observed();
    assert_eq!(counted.requests, 4);
    assert_eq!(counted.answered, 1);
    assert_eq!(counted.refused, 1);
    assert_eq!(counted.abandoned, 1);
    assert_eq!(counted.errors, BTreeMap::from([("timeout", 1)]));
    assert_eq!(counted.most_concurrent, 1);
    // A request without an answer has a service time and no latency.
    assert_eq!(counted.routes[0].service.unwrap().count, 2);
    assert_eq!(counted.latency.unwrap().count, 1);
    let late = counted.late.unwrap();
    assert!((late.p99 - 0.001).abs() < 1e-5, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn the_latency_is_from_the_arrival_to_the_answer() {
    let observer = observer(uniform());
    let mut request = observer.arrived(0);
    tokio::time::advance(Duration::from_millis(250)).await;
    request.finish(answered(10));
    let counted = observer.observed();
    assert!((counted.latency.unwrap().p50 - 0.25).abs() < 0.001);
    assert!((counted.routes[0].service.unwrap().p50 - 0.01).abs() < 0.0001);
}

#[tokio::test(start_paused = true)]
async fn the_most_at_a_time_is_kept() {
    let observer = observer(uniform());
    let requests: Vec<_> = (0..5).map(|_| observer.arrived(0)).collect();
    drop(requests);
    drop(observer.arrived(0));
    for _ in 0..3 {
        observer.connection_opened();
    }
    observer.connection_closed();
    observer.connection_refused();
    observer.accept_failed();
    let counted = observer.observed();
    assert_eq!(counted.most_concurrent, 5);
    assert_eq!((counted.connections, counted.most_connections), (3, 3));
    assert_eq!((counted.connections_refused, counted.accept_failures), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_distance_is_small_for_the_declared_distribution_and_large_for_another() {
    let same = observer(uniform());
    let other = observer(uniform());
    for milliseconds in 1..=100 {
        same.arrived(0).finish(answered(milliseconds));
        other.arrived(0).finish(answered(milliseconds / 2));
    }
    let same = same.observed().routes[0].clone();
    assert!(same.distance.unwrap() < 0.012, "{same:?}");
    assert!((same.critical.unwrap() - 0.1358).abs() < 1e-9);
    // Half of the range has all of the values.
    let other = other.observed().routes[0].distance.unwrap();
    assert!((other - 0.5).abs() < 0.012, "{other}");
}

#[tokio::test(start_paused = true)]
async fn a_constant_service_time_has_no_distance() {
    let observer = observer(Arc::new(Distribution::Constant(0.005)));
    observer.arrived(0).finish(answered(5));
    let route = observer.observed().routes[0].clone();
    assert_eq!(route.distance, None);
    assert!((route.declared.p99 - 0.005).abs() < 1e-12);
    assert!((route.service.unwrap().p99 - 0.005).abs() < 1e-5);
}

#[tokio::test(start_paused = true)]
async fn the_zeros_of_a_normal_distribution_are_no_distance() {
    let declared = Distribution::Normal {
        mean: 0.01,
        stddev: 0.01,
    };
    let observer = observer(Arc::new(declared.clone()));
    for number in 0..1000 {
        let service = declared.draw((f64::from(number) + 0.5) / 1000.0);
        observer.arrived(0).finish(Outcome::Answered {
            service,
            served: service,
        });
    }
    let distance = observer.observed().routes[0].distance.unwrap();
    assert!(distance < 0.005, "{distance}");
}

#[tokio::test(start_paused = true)]
async fn rounded_times_that_are_served_a_little_late_have_no_distance() {
    let points = vec![(0.0, 0.001), (0.5, 0.001), (0.51, 0.002), (1.0, 0.002)];
    let empirical = crate::empirical::Empirical::from_points(points).unwrap();
    let observer = observer(Arc::new(Distribution::Empirical(empirical)));
    observer.arrived(0).finish(answered(1));
    assert_eq!(observer.observed().routes[0].distance, None);
}

#[tokio::test(start_paused = true)]
async fn times_of_any_length_are_kept() {
    let observer = observer(uniform());
    for time in [
        Duration::ZERO,
        Duration::from_nanos(3),
        Duration::from_hours(2),
        Duration::MAX,
    ] {
        observer.arrived(0).finish(Outcome::Answered {
            service: time,
            served: time,
        });
    }
    let service = observer.observed().routes[0].service.unwrap();
    assert_eq!(service.count, 4);
    assert!((service.p99 - 86_400.0).abs() < 100.0, "{service:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_observed_is_plain_json() {
    let observer = observer(uniform());
    observer.arrived(0).finish(answered(3));
    let json = serde_json::to_value(observer.observed()).unwrap();
    assert_eq!(json["requests"], 1);
    assert!(json["routes"][0]["service"]["p99.9"].is_number(), "{json}");
    assert!(json["routes"][0]["declared"].get("count").is_none(), "{json}");
}
