{{/* A Deployment of the program. `root`: the context, `name`: of the object, `command`: controller or worker, `component`:
its label, `pod`: the values of its pods, `config`: the configuration that they read when they start. */}}
{{- define "events.deployment" -}}
{{- $root := .root -}}
{{- $selector := dict "root" $root "component" .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ include "events.namespace" $root }}
  labels:
    {{- include "events.labelsOf" $selector | nindent 4 }}
  {{- with include "events.strings" (list $root.Values.global.additionalAnnotations) }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  replicas: {{ .pod.replicas }}
  revisionHistoryLimit: {{ .pod.revisionHistoryLimit }}
  selector:
    matchLabels:
      {{- include "events.selectorLabelsOf" $selector | nindent 6 }}
  strategy:
    type: RollingUpdate
  template:
    metadata:
      labels:
        {{- include "events.labelsOf" $selector | nindent 8 }}
        {{- with include "events.strings" (list $root.Values.global.podLabels .pod.podLabels) }}
        {{- . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ .config | sha256sum }}
        {{- with include "events.strings" (list $root.Values.global.podAnnotations .pod.podAnnotations) }}
        {{- . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "events.serviceAccountName" $root }}
      automountServiceAccountToken: true
      {{- with $root.Values.global.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.global.hostAliases }}
      hostAliases:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .pod.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      securityContext:
        {{- toYaml $root.Values.global.securityContext | nindent 8 }}
      {{- with .pod.initContainers }}
      initContainers:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: events
          image: {{ include "events.image" $root | include "values.image" | quote }}
          imagePullPolicy: {{ default $root.Values.global.image.imagePullPolicy $root.Values.controller.image.imagePullPolicy }}
          args:
            - {{ .command }}
            - --metrics-port={{ $root.Values.controller.containerPorts.metrics }}
            - --health-port={{ $root.Values.controller.containerPorts.probe }}
            - --loglevel={{ $root.Values.global.logging.level }}
            - --logformat={{ $root.Values.global.logging.format }}
            {{- if ne (int $root.Values.controller.shards) 1 }}
            - --shards={{ $root.Values.controller.shards }}
            {{- end }}
            {{- if $root.Values.controller.rbac.namespaced }}
            - --namespaced
            {{- with $root.Values.controller.rbac.managedNamespace }}
            - --managed-namespace={{ . }}
            {{- end }}
            {{- end }}
            {{- with .pod.extraArgs }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          env:
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
            - name: POD_NAMESPACE
              valueFrom:
                fieldRef:
                  fieldPath: metadata.namespace
            - name: POD_IP
              valueFrom:
                fieldRef:
                  fieldPath: status.podIP
            {{- with .pod.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with .pod.envFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - name: metrics
              containerPort: {{ $root.Values.controller.containerPorts.metrics }}
              protocol: TCP
            - name: probe
              containerPort: {{ $root.Values.controller.containerPorts.probe }}
              protocol: TCP
          livenessProbe:
            httpGet:
              path: /healthz
              port: probe
            {{- toYaml .pod.livenessProbe | nindent 12 }}
          readinessProbe:
            httpGet:
              path: /readyz
              port: probe
            {{- toYaml .pod.readinessProbe | nindent 12 }}
          securityContext:
            {{- toYaml .pod.containerSecurityContext | nindent 12 }}
          {{- with .pod.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .pod.lifecycle }}
          lifecycle:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
            - name: controller-config
              mountPath: /etc/argo-events
              readOnly: true
            {{- with .pod.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- with .pod.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        - name: controller-config
          configMap:
            name: {{ include "events.fullname" $root }}-config
        {{- with .pod.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .pod.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .pod.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .pod.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .pod.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- include "events.topologySpreadConstraints" (dict "selector" $selector "constraints" .) | nindent 8 }}
      {{- end }}
      terminationGracePeriodSeconds: {{ .pod.terminationGracePeriodSeconds }}
{{- end -}}

{{/* From which the controller makes Deployments of EventSources and Sensors; nothing when they get none. */}}
{{- define "events.dedicatedTemplate" -}}
{{- if .Values.dedicated.enabled -}}
{{- include "events.deployment" (dict "root" . "name" "dedicated" "command" "worker" "component" "worker" "pod" .Values.worker "config" (include "events.controllerConfig" .)) -}}
{{- end -}}
{{- end -}}
