{{/* Names and labels of all objects of the chart. */}}
{{- define "events.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "events.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "events.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "events.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "events.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "events.serviceAccountName" -}}
{{- if .Values.controller.serviceAccount.create -}}
{{- default (include "events.fullname" .) .Values.controller.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.controller.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The controller's image; what it leaves empty is taken from global.image. */}}
{{- define "events.image" -}}
{{- $tag := default .Values.global.image.tag .Values.controller.image.tag -}}
{{- default .Values.global.image.repository .Values.controller.image.repository }}:{{ default .Chart.AppVersion $tag -}}
{{- end -}}

{{- define "events.workerName" -}}
{{- printf "%s-worker" (include "events.fullname" . | trunc 56 | trimSuffix "-") -}}
{{- end -}}

{{/* The pods of this release, controllers and workers. */}}
{{- define "events.releaseLabels" -}}
app.kubernetes.io/name: {{ include "events.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "events.selectorLabels" -}}
{{- include "events.selectorLabelsOf" (dict "root" . "component" "controller-manager") -}}
{{- end -}}

{{/* The pods of one component: `root` is the context. */}}
{{- define "events.selectorLabelsOf" -}}
{{ include "events.releaseLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "events.labels" -}}
{{- include "events.labelsOf" (dict "root" . "component" "controller-manager") -}}
{{- end -}}

{{- define "events.labelsOf" -}}
{{ include "events.selectorLabelsOf" . }}
app.kubernetes.io/part-of: events
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") }}
{{- with include "events.strings" (list .root.Values.global.additionalLabels) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* A list of maps as one map of texts; of two values of a key the later one counts. Numbers and booleans are quoted. */}}
{{- define "events.strings" -}}
{{- $all := dict -}}
{{- range . -}}
{{- range $key, $value := . -}}
{{- $_ := set $all $key (toString $value) -}}
{{- end -}}
{{- end -}}
{{- if $all -}}
{{- toYaml $all -}}
{{- end -}}
{{- end -}}

{{/* Constraints that name no pods mean those of the Deployment. */}}
{{- define "events.topologySpreadConstraints" -}}
{{- $pods := dict "matchLabels" (include "events.selectorLabelsOf" .selector | fromYaml) -}}
{{- $all := list -}}
{{- range .constraints -}}
{{- $all = append $all (merge (deepCopy .) (dict "labelSelector" $pods)) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}
