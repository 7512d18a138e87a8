{{- define "argo-cd-lite.isOurs" -}}
{{- include "values.isOurs" (merge (dict "apiVersion" "v1" "namespace" (include "argo-cd-lite.namespace" .root)) .) -}}
{{- end -}}

{{- define "argo-cd-lite.configMetadata" -}}
namespace: {{ include "argo-cd-lite.namespace" .root }}
labels:
  {{- $marks := dict "app.kubernetes.io/part-of" "argocd" -}}
  {{- $own := include "argo-cd-lite.labels" .root | fromYaml -}}
  {{- include "argo-cd-lite.strings" (concat (list $own $marks) (default list .labels)) | nindent 2 }}
{{- with include "argo-cd-lite.strings" (default list .annotations) }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Keys with a value, without those of the chart itself. */}}
{{- define "argo-cd-lite.filled" -}}
{{- $filled := dict -}}
{{- range $key, $value := . -}}
{{- if not (has (toString $value) (list "" "<nil>")) -}}
{{- $_ := set $filled $key (or (kindIs "slice" $value) (kindIs "map" $value) | ternary (toYaml $value) (toString $value)) -}}
{{- end -}}
{{- end -}}
{{- if $filled -}}{{- toYaml $filled -}}{{- end -}}
{{- end -}}
