//! Names made of content: the pod template hash and the step hash.

use reconcile_core::kube_types::names::{fnv1a_32, safe_encode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::template;
use crate::api::rollout::CanaryStep;

/// Identity of a pod template after the API server's defaults: equal digests mean equal templates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TemplateDigest(pub [u8; 16]);

/// A pod template in comparable form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedTemplate {
    /// Identity.
    pub digest: TemplateDigest,
    /// 32-bit FNV-1a of the comparable form, the base of the hash in names.
    hash: u32,
    text: String,
}

impl ComparedTemplate {
    /// Brings `template` into comparable form.
    pub fn new(template: &Value) -> Self {
        let text = template::comparable(template).to_string();
        Self {
            digest: digest(&text),
            hash: fnv1a_32(text.as_bytes()),
            text,
        }
    }

    /// The hash used in the name and labels of the ReplicaSet; another collision count gives another
    /// hash.
    pub fn pod_hash(&self, collision_count: Option<i32>) -> String {
        let Some(count) = collision_count else {
            return safe_encode(&self.hash.to_string());
        };
        // As in Kubernetes: the count follows the content as four bytes of a buffer of eight.
        let mut bytes = self.text.as_bytes().to_vec();
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        safe_encode(&fnv1a_32(&bytes).to_string())
    }
}

/// The digest of a template alone.
pub fn template_digest(template: &Value) -> TemplateDigest {
    digest(&template::comparable(template).to_string())
}

fn digest(text: &str) -> TemplateDigest {
    let full = Sha256::digest(text.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    TemplateDigest(short)
}

/// The hash of the steps. Equal to upstream's, so that a Rollout in the middle of an update can change
/// controllers.
pub fn step_hash(steps: &[CanaryStep]) -> String {
    // Go writes a missing list as null, and these characters so that they are harmless in HTML.
    let text = if steps.is_empty() {
        "null".to_owned()
    } else {
        let steps: Vec<CanaryStep> = steps.iter().map(as_go_writes).collect();
        serde_json::to_string(&steps)
            .unwrap_or_default()
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
    };
    safe_encode(&fnv1a_32(text.as_bytes()).to_string())
}

/// A member that is no pointer is written although it is empty; an empty text is not written.
fn as_go_writes(step: &CanaryStep) -> CanaryStep {
    let mut step = step.clone();
    if let Some(analysis) = &mut step.analysis {
        analysis.analysis_run_metadata.get_or_insert_default();
        for argument in &mut analysis.args {
            argument.value.take_if(|value| value.is_empty());
        }
    }
    step
}
