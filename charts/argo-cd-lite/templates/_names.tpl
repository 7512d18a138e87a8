{{/* Names and labels of all objects of the chart. */}}
{{- define "argo-cd-lite.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "argo-cd-lite.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "argo-cd-lite.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "argo-cd-lite.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "argo-cd-lite.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "argo-cd-lite.serviceAccountName" -}}
{{- if .Values.controller.serviceAccount.create -}}
{{- default (include "argo-cd-lite.fullname" .) .Values.controller.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.controller.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The controller's image; what it leaves empty is taken from global.image. */}}
{{- define "argo-cd-lite.image" -}}
{{- $tag := default .Values.global.image.tag .Values.controller.image.tag -}}
{{- default .Values.global.image.repository .Values.controller.image.repository }}:{{ default .Chart.AppVersion $tag -}}
{{- end -}}

{{- define "argo-cd-lite.selectorLabels" -}}
app.kubernetes.io/name: {{ include "argo-cd-lite.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: application-controller
{{- end -}}

{{- define "argo-cd-lite.labels" -}}
{{ include "argo-cd-lite.selectorLabels" . }}
app.kubernetes.io/part-of: argo-cd-lite
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- with include "argo-cd-lite.strings" (list .Values.global.additionalLabels) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* A list of maps as one map of texts; of two values of a key the later one counts. Numbers and booleans are quoted. */}}
{{- define "argo-cd-lite.strings" -}}
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

{{/* Constraints that name no pods mean those of this chart. */}}
{{- define "argo-cd-lite.topologySpreadConstraints" -}}
{{- $pods := dict "matchLabels" (include "argo-cd-lite.selectorLabels" .root | fromYaml) -}}
{{- $all := list -}}
{{- range .constraints -}}
{{- $all = append $all (merge (deepCopy .) (dict "labelSelector" $pods)) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* What configs says to this operator, by flag. */}}
{{- define "argo-cd-lite.settings" -}}
{{- $params := default dict .Values.configs.params -}}
{{- $cm := default dict .Values.configs.cm -}}
{{- $flags := dict
  "application-namespaces" (index $params "application.namespaces")
  "app-resync" (index $cm "timeout.reconciliation")
  "app-resync-jitter" (index $cm "timeout.reconciliation.jitter")
  "status-processors" (index $params "controller.status.processors")
  "operation-processors" (index $params "controller.operation.processors")
-}}
{{- range $flag, $value := $flags -}}
{{- if not (has (toString $value) (list "" "<nil>")) }}
{{ $flag }}: {{ toString $value | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* IP families of a Service. */}}
{{- define "argo-cd-lite.dualStack" -}}
{{- with .Values.global.dualStack }}
{{- with .ipFamilyPolicy }}
  ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .ipFamilies }}
  ipFamilies:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Secrets with certificates of the ports for Argo CD's own components, by the folder that each is mounted to. */}}
{{- define "argo-cd-lite.certificates" -}}
{{- $upstream := .Values.server.upstream -}}
{{- $found := dict -}}
{{- if $upstream.enabled -}}
{{- range $name, $port := dict "redis" $upstream.redis "repo-server" $upstream.repoServer -}}
{{- with $port.certificateSecret -}}{{- $_ := set $found $name . -}}{{- end -}}
{{- with $port.clientCASecret -}}{{- $_ := set $found (printf "%s-clients" $name) . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}
