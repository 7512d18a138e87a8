//! Renders, each only once: from memory, from disk, or by work on a thread.

use std::{path::Path, sync::Arc};

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use thiserror::Error;

use super::{
    Placement, RenderError, RenderRequest, Scope, TargetSet, ToolPaths, Tools,
    cache::{CacheKey, Outcome, RenderCache},
    confinement,
    generate::{Inputs, generate},
    objects::targets,
    sandbox,
    store::RenderStore,
};
use crate::repo::{GitError, Interrupt, PoolError, RepoHub};

/// Why there are no targets.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RenderFailure {
    /// The sources cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// No thread gave a result.
    #[error("rendering: {0}")]
    Pool(#[from] PoolError),
}

impl RenderFailure {
    /// True when trying again later may help without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Render(error) => error.is_transient(),
            Self::Pool(_) => true,
        }
    }

    /// True when contents of Git LFS have to be downloaded first.
    pub fn lacks_files(&self) -> bool {
        matches!(self, Self::Render(RenderError::Git(GitError::LargeFiles)))
    }
}

/// Who the targets are for, and which state of discovery counts.
pub struct RenderFor<S> {
    /// Where the objects go.
    pub placement: Placement,
    /// State of discovery.
    pub discovery: u64,
    /// Whether a kind is namespaced.
    pub scope: S,
    /// Trust nothing that was rendered before.
    pub hard: bool,
}

/// All that renders. Cloning shares it.
#[derive(Clone)]
pub struct Renders {
    cache: RenderCache,
    store: RenderStore,
    tools: Tools,
    /// Renders by where the result came from: memory, disk, or new.
    counter: IntCounterVec,
}

impl Renders {
    /// Renders with these programs, and files below `folder` of which those that are kept have at most `budget` bytes.
    pub fn new(
        paths: ToolPaths,
        folder: &Path,
        budget: u64,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let counter = IntCounterVec::new(
            Opts::new(
                "argocd_lite_renders_total",
                "Renders of Applications: by work, or from a cache in memory or on disk.",
            ),
            &["from"],
        )?;
        registry.register(Box::new(counter.clone()))?;
        let confined = IntGauge::new(
            "argocd_lite_renderers_without_network",
            "1 when the kernel keeps helm and kustomize from the network.",
        )?;
        confined.set(i64::from(confinement::denies_network()));
        registry.register(Box::new(confined))?;
        let sandboxes = folder.join("sandboxes");
        sandbox::sweep(&sandboxes);
        Ok(Self {
            cache: RenderCache::default(),
            store: RenderStore::new(folder.join("renders"), budget),
            tools: Tools::new(paths, sandboxes),
            counter,
        })
    }

    /// The programs.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The targets of a request.
    pub async fn render<S>(
        &self,
        hub: &RepoHub,
        request: RenderRequest,
        asked: RenderFor<S>,
    ) -> Result<Arc<TargetSet>, RenderFailure>
    where
        S: Fn(&str, &str) -> Scope + Send + 'static,
    {
        let key = CacheKey {
            request: request.key(),
            placement: asked.placement.clone(),
            discovery: asked.discovery,
        };
        if asked.hard {
            self.cache.remove(&key);
        }
        let lookup = (self.clone(), request.clone(), key.clone());
        let look = move |interrupt: &Interrupt| {
            let (renders, request, key) = lookup;
            let known = |inputs: &Inputs| request.matches(inputs, &renders.tools, interrupt);
            match renders.cache.get(&key, known) {
                Some(outcome) => Lookup::Known(outcome),
                None => Lookup::Unknown {
                    runs_tool: request.runs_tool(interrupt),
                },
            }
        };
        let runs_tool = match hub.look_up(look).await? {
            Lookup::Known(outcome) => {
                self.counter.with_label_values(&["memory"]).inc();
                return Ok(outcome?);
            }
            Lookup::Unknown { runs_tool } => runs_tool,
        };
        let work = RenderTask {
            renders: self.clone(),
            request,
            key: key.clone(),
            runs_tool,
        };
        if runs_tool {
            let project = work.request.app.project.clone();
            let done = hub.run_tool(&project, move |interrupt| work.run(&asked, interrupt));
            return Ok(done.await??);
        }
        let done = hub.read(move |interrupt| work.run(&asked, interrupt));
        Ok(done.await??)
    }
}

/// What is known before anything is rendered.
enum Lookup {
    Known(Outcome),
    Unknown {
        /// Whether another program will be started.
        runs_tool: bool,
    },
}

/// One render on a thread.
struct RenderTask {
    renders: Renders,
    request: RenderRequest,
    key: CacheKey,
    runs_tool: bool,
}

impl RenderTask {
    fn run<S: Fn(&str, &str) -> Scope>(
        self,
        asked: &RenderFor<S>,
        interrupt: &Interrupt,
    ) -> Outcome {
        let renders = &self.renders;
        let name = &self.key.request;
        let kept = if self.runs_tool && !asked.hard {
            let matches = |inputs: &Inputs| self.request.matches(inputs, &renders.tools, interrupt);
            renders.store.get(name, matches)
        } else {
            None
        };
        let from = if kept.is_some() { "disk" } else { "work" };
        renders.counter.with_label_values(&[from]).inc();
        let (inputs, generated) = if let Some((inputs, generated)) = kept {
            (inputs, Ok(generated))
        } else {
            tracing::debug!(application = %self.request.app.instance, "rendering");
            let (inputs, generated) = generate(&self.request, &renders.tools, interrupt);
            if let (Ok(generated), true) = (&generated, self.runs_tool) {
                renders.store.put(name, &inputs, generated);
            }
            (inputs, generated)
        };
        let outcome = generated.and_then(|generated| {
            targets(generated, &asked.placement, interrupt, &asked.scope).map(Arc::new)
        });
        if !outcome.as_ref().is_err_and(RenderError::is_transient) {
            renders.cache.put(self.key, inputs, outcome.clone());
        }
        outcome
    }
}

/// The targets of a request, without any cache. Blocks.
pub fn render_once(
    request: &RenderRequest,
    placement: &Placement,
    tools: &Tools,
    scope: impl Fn(&str, &str) -> Scope,
) -> Result<TargetSet, RenderError> {
    let interrupt = Interrupt::default();
    let (_, generated) = generate(request, tools, &interrupt);
    targets(generated?, placement, &interrupt, scope)
}
