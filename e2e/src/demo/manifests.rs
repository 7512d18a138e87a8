//! The manifests of the story: what a platform team would write for the originals, unchanged.

/// Where the shop runs.
pub(super) const NAMESPACE: &str = "shop";
/// Replicas of the shop; with five, one pod is 20 %.
pub(super) const REPLICAS: u32 = 5;

/// The Application, which follows branch `main`.
pub(super) fn application(repository: &str) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: shop
  namespace: argocd
spec:
  project: default
  source:
    repoURL: {repository}
    targetRevision: main
    path: deploy
  destination:
    server: https://kubernetes.default.svc
    namespace: {NAMESPACE}
  syncPolicy:
    automated:
      prune: true
      selfHeal: true
    syncOptions:
      - CreateNamespace=true
    retry:
      limit: 0
"
    )
}

/// The account that the trigger acts with: it may refresh Applications, and nothing else.
pub(super) const RIGHTS: &str = r"
apiVersion: v1
kind: Namespace
metadata:
  name: argo-events
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: refresh
  namespace: argo-events
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: refresh-applications
  namespace: argocd
rules:
  - apiGroups: [argoproj.io]
    resources: [applications]
    verbs: [get, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: refresh-applications
  namespace: argocd
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: refresh-applications
subjects:
  - kind: ServiceAccount
    name: refresh
    namespace: argo-events
";

/// Bus, source and sensor.
pub(super) fn pipeline(nats: &str, port: u16) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: EventBus
metadata:
  name: default
  namespace: argo-events
spec:
  jetstreamExotic:
    url: {nats}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata:
  name: git
  namespace: argo-events
spec:
  webhook:
    push:
      port: '{port}'
      endpoint: /push
      method: POST
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata:
  name: refresh
  namespace: argo-events
spec:
  template:
    serviceAccountName: refresh
  dependencies:
    - name: push
      eventSourceName: git
      eventName: push
      filters:
        data:
          - path: body.ref
            type: string
            value: [refs/heads/main]
  triggers:
    - template:
        name: refresh-application
        k8s:
          operation: patch
          patchStrategy: application/merge-patch+json
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Application
              metadata:
                name: placeholder
                namespace: argocd
                annotations:
                  argocd.argoproj.io/refresh: normal
          parameters:
            - src:
                dependencyName: push
                dataKey: body.repository.name
              dest: metadata.name
      retryStrategy:
        steps: 3
        duration: 1s
"
    )
}

/// The Job that must succeed before anything is applied.
pub(super) const MIGRATION: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations:
    argocd.argoproj.io/hook: PreSync
    argocd.argoproj.io/hook-delete-policy: BeforeHookCreation
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: shop/migrate:v1
          command: [sleep, "1"]
"#;

/// The configuration, first wave.
pub(super) const SETTINGS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  annotations:
    argocd.argoproj.io/sync-wave: "0"
data:
  currency: EUR
"#;

/// Service and analysis, second wave.
pub(super) fn service(prometheus: &str, port: u16) -> String {
    format!(
        r#"
apiVersion: v1
kind: Service
metadata:
  name: shop
  annotations:
    argocd.argoproj.io/sync-wave: "1"
spec:
  selector:
    app: shop
  ports:
    - name: http
      port: 80
      targetPort: {port}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: success-rate
  annotations:
    argocd.argoproj.io/sync-wave: "1"
spec:
  args:
    - name: hash
  metrics:
    - name: success-rate
      initialDelay: 8s
      interval: 2s
      count: 4
      failureLimit: 1
      # Prometheus may need ten seconds to find a new pod: no data is an error, which is asked again, not a verdict.
      consecutiveErrorLimit: 4
      successCondition: result[0] >= 0.95
      provider:
        prometheus:
          address: {prometheus}
          query: |
            sum(rate(http_requests_total{{pod_template_hash="{{{{args.hash}}}}",code!~"5.."}}[4s]))
              / (sum(rate(http_requests_total{{pod_template_hash="{{{{args.hash}}}}"}}[4s])) > 0)
"#
    )
}

/// The release itself, last wave.
pub(super) fn rollout(version: &str, port: u16) -> String {
    format!(
        r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: shop
  annotations:
    argocd.argoproj.io/sync-wave: "2"
spec:
  replicas: {REPLICAS}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      app: shop
  strategy:
    canary:
      maxSurge: 1
      maxUnavailable: 0
      steps:
        - setWeight: 20
        - analysis:
            templates:
              - templateName: success-rate
            args:
              - name: hash
                valueFrom:
                  podTemplateHashValue: Latest
        - setWeight: 60
        - pause:
            duration: 3s
  template:
    metadata:
      labels:
        app: shop
      annotations:
        prometheus.io/scrape: "true"
    spec:
      containers:
        - name: shop
          image: shop/web:{version}
          ports:
            - name: http
              containerPort: {port}
"#
    )
}
