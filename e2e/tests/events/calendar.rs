//! Ticks over a restart.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_ticks_and_a_restart_neither_loses_nor_doubles() -> Result<()> {
    let scene = scene().await?;
    let sink = Sink::default();
    let url = sink.start().await?;
    scene
        .apply(
            NS,
            &format!(
                r"
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: clock}}
spec:
  calendar:
    tick: {{interval: 1s}}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: clock}}
spec:
  dependencies: [{{name: tick, eventSourceName: clock, eventName: tick}}]
  triggers:
    - template:
        name: call
        http:
          url: {url}
          payload: [{{src: {{dependencyName: tick, dataKey: eventTime}}, dest: at}}]
"
            ),
        )
        .await?;
    scene.until_deployed("Sensor", NS, "clock").await?;
    sink.until(3).await?;
    scene
        .operator(Which::Events)?
        .operator
        .kill_and_restart()
        .await?;
    let before = sink.bodies().len();
    sink.until(before + 3).await?;
    // The bus drops a tick that is published again, so each is there once.
    let mut stream = async_nats::jetstream::new(async_nats::connect(&scene.bed.nats()?.url).await?)
        .get_stream("default")
        .await?;
    let last = stream.info().await?.state.last_sequence;
    let mut ticks = Vec::new();
    for sequence in 1..=last {
        let event: Value =
            serde_json::from_slice(&stream.get_raw_message(sequence).await?.payload)?;
        ticks.push(event["id"].to_string());
    }
    let published = ticks.len();
    ticks.sort();
    ticks.dedup();
    assert_eq!(ticks.len(), published, "a tick was published twice");
    // A call that was under way when the process was killed is made again: nobody knows whether it arrived.
    // One or two ticks may be older than the Sensor's consumer, which begins with what is new.
    let begin = std::time::Instant::now();
    loop {
        let mut times: Vec<String> = sink
            .bodies()
            .iter()
            .map(|body| body["at"].to_string())
            .collect();
        let calls = times.len();
        times.sort();
        times.dedup();
        assert!(
            calls - times.len() <= 1,
            "{} calls were made twice",
            calls - times.len()
        );
        if times.len() + 2 >= published {
            break;
        }
        anyhow::ensure!(
            begin.elapsed() < scene::PATIENCE,
            "{} of {published} ticks led to a call",
            times.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
