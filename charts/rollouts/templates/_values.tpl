{{/* Written by `cargo xtask docs` from crates/xtask/src/docs/values.tpl. */}}

{{/* The values that a values file sets and this chart does not read, one a line. Empty ones and switches that are off
ask for nothing. */}}
{{- define "values.unread" -}}
{{- $known := dict -}}
{{- range .Files.Get "values.paths" | splitList "\n" -}}
{{- $_ := set $known . true -}}
{{- end -}}
{{- include "values.unreadBelow" (dict "known" $known "at" "" "values" .Values) -}}
{{- end -}}

{{- define "values.unreadBelow" -}}
{{- $known := .known -}}
{{- $at := .at -}}
{{- range $key, $value := .values -}}
{{- $path := printf "%s/%s" $at $key -}}
{{- if and $value (not (hasKey $known $path)) -}}
{{- if kindIs "map" $value -}}
{{- include "values.unreadBelow" (dict "known" $known "at" $path "values" $value) -}}
{{- else -}}
{{ $path | trimPrefix "/" | replace "/" "." }}{{ "\n" }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The part of NOTES about them. */}}
{{- define "values.notes" -}}
{{- with include "values.unread" . | trim }}

Not read by this chart, so without effect (strictValues: true refuses them):
{{ . | indent 2 }}
{{- end }}
{{- end -}}

{{/* What a values file must not say. */}}
{{- define "values.check" -}}
{{- if .Values.strictValues -}}
{{- with include "values.unread" . | trim -}}
{{- fail (printf "strictValues is set, and this chart does not read these values:\n%s" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.controller.pdb -}}
{{- if and .enabled (has (toString .maxUnavailable) (list "" "<nil>" "100%")) (has (toString .minAvailable) (list "" "<nil>" "0" "0%")) -}}
{{- fail "controller.pdb.enabled: a PodDisruptionBudget with these values protects nothing; set controller.pdb.minAvailable or controller.pdb.maxUnavailable" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* An image reference that is not one of the original. */}}
{{- define "values.image" -}}
{{- if regexMatch "(^|/)argoproj(labs)?/argo" . -}}
{{- fail (printf "image %s is one of the original, which this chart cannot run: its flags and probes differ. Remove the image from the values, or name a mirror of this project's image" .) -}}
{{- end -}}
{{- . -}}
{{- end -}}

{{/* Something when an object does not exist yet, or belongs to this release. One of somebody else is left alone: the
original may be installed. Without a cluster, as in `helm template`, nothing exists. */}}
{{- define "values.isOurs" -}}
{{- $found := lookup .apiVersion .kind .namespace .name -}}
{{- if not $found -}}
yes
{{- else if eq (dig "annotations" "meta.helm.sh/release-name" "" $found.metadata) .root.Release.Name -}}
{{- if eq (dig "annotations" "meta.helm.sh/release-namespace" "" $found.metadata) .root.Release.Namespace -}}
yes
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The pod of `helm test`: the operator is reachable and ready. Metrics and probes share a port. */}}
{{- define "values.test" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .fullname | trunc 56 | trimSuffix "-" }}-ready
  namespace: {{ .namespace }}
  labels:
    {{- omit .labels "app.kubernetes.io/component" | toYaml | nindent 4 }}
    app.kubernetes.io/component: test
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: ready
      image: {{ .image | quote }}
      command: [wget, -q, -O, "-", -T, "10"]
      args: ["http://{{ .fullname }}-metrics:{{ .port }}/readyz"]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
{{- end -}}
