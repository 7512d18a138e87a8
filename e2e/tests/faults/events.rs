//! Processes of events that are killed, and a bus that restarts.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn events_killed_at_any_moment_loses_nothing_and_triggers_nothing_twice() -> Result<()> {
    e2e::init_tls();
    let scene = quick(
        Options {
            git: false,
            ..options()
        },
        Which::Events,
    )
    .await?;
    let port = scene.bed.free_port()?;
    scene
        .apply("default", &pipeline(&scene.bed.nats()?.url, port))
        .await?;
    ready(&scene).await?;
    let mut moments = Moments::new();
    let mut sent = 0;
    let mut repeated = 0;
    for _ in 0..ROUNDS {
        let kill = async {
            moments.pass(Duration::from_millis(500)).await;
            scene
                .operator(Which::Events)?
                .operator
                .kill_and_restart()
                .await
        };
        let send = async {
            let mut again = 0;
            for number in sent..sent + 40 {
                if !deliver(port, &number.to_string()).await? {
                    again += 1;
                }
            }
            Ok::<_, anyhow::Error>(again)
        };
        let (killed, again) = tokio::join!(kill, send);
        killed?;
        repeated += again?;
        sent += 40;
    }
    let ids = made(&scene, sent).await?;
    // A call whose answer was lost in the crash is sent again by its sender: that is a second event, and the only
    // reason for a second ConfigMap.
    ensure!(
        ids.len() <= sent + repeated,
        "{} ConfigMaps for {sent} events, {repeated} of them sent again",
        ids.len()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_restarts_loses_no_accepted_event() -> Result<()> {
    e2e::init_tls();
    let scene = Scene::set(
        Options {
            git: false,
            ..options()
        },
        &[Which::Events],
    )
    .await?;
    let port = scene.bed.free_port()?;
    scene
        .apply("default", &pipeline(&scene.bed.nats()?.url, port))
        .await?;
    ready(&scene).await?;
    for number in 0..20 {
        deliver(port, &number.to_string()).await?;
        if number == 9 {
            scene.bed.nats()?.part.restart().await?;
        }
    }
    scene.bed.nats()?.until_ready().await?;
    made(&scene, 20).await?;
    Ok(())
}
