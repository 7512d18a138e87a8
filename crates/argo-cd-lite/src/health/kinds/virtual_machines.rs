//! KubeVirt.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended, Unknown},
    Health, Subject,
    rule::{Rule, field, no, rule, run, when, yes},
};

const NO_STATUS: &str = "No status available";

pub(super) const RULES: &[Rule] = &[
    rule(
        "kubevirt.io",
        "VirtualMachine",
        &[
            when(&[yes("Paused", Suspended).say("Paused")]),
            run(virtual_machine),
        ],
    )
    .waiting("{status.printableStatus|No status available}"),
    rule(
        "kubevirt.io",
        "VirtualMachineInstance",
        &[
            field(
                "status.phase",
                &[
                    ("Failed", Degraded, "{value}"),
                    ("Pending|Scheduling|Scheduled", Progressing, "{value}"),
                    ("Succeeded", Suspended, "{value}"),
                    ("Unknown", Unknown, "{value}"),
                ],
            ),
            when(&[yes("Paused", Suspended)]),
            when(&[yes("Ready", Healthy).say("Running"), no("Ready", Degraded)]),
        ],
    )
    .waiting("{status.phase|No status available}"),
    rule(
        "cdi.kubevirt.io",
        "DataVolume",
        &[
            field(
                "status.phase",
                &[
                    ("Succeeded", Healthy, "{value}"),
                    ("Paused", Suspended, "{value}"),
                ],
            ),
            when(&[no("Running", Degraded).because("Error")]),
            field(
                "status.phase",
                &[
                    ("Failed|Unknown", Degraded, "{value}"),
                    ("*", Progressing, "{value}"),
                ],
            ),
        ],
    )
    .waiting(NO_STATUS),
    rule(
        "kubevirt.io",
        "KubeVirt",
        &[when(&[
            yes("Degraded", Degraded),
            yes("Progressing", Progressing),
            yes("Available", Healthy),
        ])],
    )
    .waiting(NO_STATUS),
    rule(
        "cdi.kubevirt.io",
        "CDI",
        &[when(&[
            yes("Degraded", Degraded),
            yes("Progressing", Progressing),
            yes("Available", Healthy),
        ])],
    )
    .waiting(NO_STATUS),
];

/// A machine that is not ready is starting when it was created, else it is stopped.
fn virtual_machine(subject: &Subject<'_>) -> Option<Health> {
    let ready = subject
        .conditions()
        .iter()
        .rfind(|condition| condition["type"] == "Ready")?;
    let created = subject.at("status.created").as_bool() == Some(true);
    let (code, message) = match (ready["status"] == "True", created) {
        (true, _) => (Healthy, "Running"),
        (false, true) => (Progressing, "Starting"),
        (false, false) => (Suspended, "Stopped"),
    };
    let printed = subject.at("status.printableStatus").as_str();
    Some(Health::new(code, printed.unwrap_or(message)))
}
