//! Replicas behind one Service.

use super::*;

/// Port and address of each EndpointSlice of the Service of EventSource `hook`.
async fn endpoints(scene: &Scene) -> Result<BTreeMap<String, u16>> {
    let slices = scene
        .api("discovery.k8s.io/v1", "EndpointSlice", NS)
        .await?;
    let of_service =
        ListParams::default().labels("kubernetes.io/service-name=hook-eventsource-svc");
    let found = slices.list(&of_service).await?;
    let mut endpoints = BTreeMap::new();
    for slice in found {
        let address = slice.data["endpoints"][0]["addresses"][0].as_str();
        let port = slice.data["ports"][0]["port"].as_u64();
        if let (Some(address), Some(port)) = (address, port) {
            endpoints.insert(address.to_owned(), u16::try_from(port)?);
        }
    }
    Ok(endpoints)
}

async fn until_endpoints(scene: &Scene, addresses: &[&str]) -> Result<BTreeMap<String, u16>> {
    let begin = Instant::now();
    loop {
        let found = endpoints(scene).await?;
        if found.keys().eq(addresses) {
            return Ok(found);
        }
        ensure!(
            begin.elapsed() < scene::PATIENCE,
            "endpoints {found:?}, not {addresses:?}\n{}",
            scene.logs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Callers need no leader: the endpoints of a live replica stay while the leader is dead and not replaced.
#[tokio::test(flavor = "multi_thread")]
async fn every_replica_is_an_endpoint_and_a_dead_one_is_removed() -> Result<()> {
    const ADDRESSES: [&str; 2] = ["198.51.100.1", "198.51.100.2"];
    e2e::init_tls();
    let mut scene = scene_of(&[]).await?;
    for (replica, address) in (1..).zip(ADDRESSES) {
        let mut args = quick_lease();
        args.push(format!("--advertise-address={address}"));
        let setup = Setup {
            args,
            env: vec![("POD_NAME".to_owned(), format!("events-{replica}"))],
            replica: Some(replica),
            installed: replica > 1,
            ..Setup::default()
        };
        scene.add(Which::Events, &setup).await?;
        if replica == 1 {
            set_bus(&scene).await?;
        }
    }
    let port = scene.bed.free_port()?;
    let source = format!(
        "{}  service: {{ports: [{{port: {port}}}]}}\n",
        webhook(port)
    );
    scene.apply(NS, &source).await?;
    scene.until_deployed("EventSource", NS, "hook").await?;
    let both = until_endpoints(&scene, &ADDRESSES).await?;
    for target in both.values() {
        assert_eq!(send(*target, "/order", &json!({})).await?, 200);
    }
    scene.operators[0].operator.part.kill().await?;
    // At once, and all the time until the successor has taken the place of the leader.
    let begin = Instant::now();
    while endpoints(&scene).await?.len() > 1 {
        assert_eq!(send(both[ADDRESSES[1]], "/order", &json!({})).await?, 200);
        ensure!(begin.elapsed() < scene::PATIENCE, "{}", scene.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = until_endpoints(&scene, &ADDRESSES[1..2]).await?;
    assert_eq!(left[ADDRESSES[1]], both[ADDRESSES[1]]);
    // Back under the name of its pod: it takes its lease and publishes.
    scene.operators[0].operator.start().await?;
    until_endpoints(&scene, &ADDRESSES).await?;
    // One that is stopped removes its own endpoints.
    scene.operators[1].operator.part.stop().await?;
    assert!(!endpoints(&scene).await?.contains_key(ADDRESSES[1]));
    let left = until_endpoints(&scene, &ADDRESSES[..1]).await?;
    assert_eq!(send(left[ADDRESSES[0]], "/order", &json!({})).await?, 200);
    Ok(())
}
