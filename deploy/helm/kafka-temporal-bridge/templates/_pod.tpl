{{/* Environment of every container that runs `ktb`. Takes root, values; daemon: true for one that does not end. */}}
{{- define "ktb.env" -}}
- name: KTB_CONFIG
  value: /etc/ktb/config/ktb.yaml
{{- range include "ktb.secretVariables" .root | fromYamlArray }}
{{- if and .secret (or .value (not (or .isGiven $.root.Values.credentialFiles))) }}
- name: {{ .name }}
  {{- if .value }}
  value: {{ .value | quote }}
  {{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | quote }}
      key: {{ .secretKey | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- if and .daemon .root.Values.credentials.kafka.sasl.existingSecret }}
{{- range include "ktb.tokenVariables" (include "ktb.givenConfig" .root | fromYaml) | fromYamlArray }}
- name: {{ .name }}
  value: {{ .value | quote }}
{{- end }}
{{- end }}
{{- if .daemon }}
{{- /* glibc makes arenas for every thread, and gives little back of what is free in them. */}}
{{- $own := dict }}
{{- range .values.extraEnv }}{{- $_ := set $own .name true }}{{- end }}
{{- range $name, $value := dict "MALLOC_ARENA_MAX" "2" "MALLOC_TRIM_THRESHOLD_" "131072" }}
{{- if not (hasKey $own $name) }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The spec of a pod that runs `ktb`. Takes root, component, values, args, resources; daemon: true for one that has probes and
does not end.
*/}}
{{- define "ktb.podSpec" -}}
{{- $root := .root -}}
{{- $values := .values -}}
serviceAccountName: {{ include "ktb.serviceAccountName" $root | quote }}
automountServiceAccountToken: {{ $root.Values.serviceAccount.automount }}
# Variables of Services in the namespace, such as TEMPORAL_PORT, are none of the daemon's settings.
enableServiceLinks: false
{{- with include "ktb.imagePullSecrets" $root }}
{{ . }}
{{- end }}
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .daemon }}
terminationGracePeriodSeconds: {{ kindIs "invalid" $values.terminationGracePeriodSeconds | ternary (include "ktb.gracePeriodNeeded" .) $values.terminationGracePeriodSeconds | int64 }}
{{- else }}
restartPolicy: Never
{{- end }}
{{- range $key := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" }}
{{- with get $values $key }}
{{ $key }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- range $key := list "dnsConfig" "hostAliases" "nodeSelector" "tolerations" "affinity" }}
{{- with get $values $key }}
{{ $key }}:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- end }}
{{- if .daemon }}
{{- with $values.topologySpreadConstraints }}
{{- $selector := dict "labelSelector" (dict "matchLabels" (include "ktb.selectorLabels" $ | fromYaml)) }}
topologySpreadConstraints:
  {{- range . }}
  {{- tpl (toYaml (list (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $selector)))) $root | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}
{{- with $values.initContainers }}
initContainers:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
containers:
  - name: ktb
    image: {{ include "ktb.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    {{- with $values.command }}
    command:
      {{- tpl (toYaml .) $root | nindent 6 }}
    {{- end }}
    args:
      {{- toYaml .args | nindent 6 }}
    env:
      {{- include "ktb.env" (dict "root" $root "values" $values "daemon" .daemon) | nindent 6 }}
      {{- with $values.extraEnv }}
      {{- tpl (toYaml .) $root | nindent 6 }}
      {{- end }}
    {{- with $values.extraEnvFrom }}
    envFrom:
      {{- tpl (toYaml .) $root | nindent 6 }}
    {{- end }}
    {{- if .daemon }}
    ports:
      - name: http
        containerPort: {{ include "ktb.port" $root }}
        protocol: TCP
      {{- with include "ktb.temporalPort" $root }}
      - name: temporal
        containerPort: {{ . }}
        protocol: TCP
      {{- end }}
    {{- range $probe := list "startupProbe" "livenessProbe" "readinessProbe" }}
    {{- with get $values $probe }}
    {{ $probe }}:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- end }}
    {{- if $values.lifecycle }}
    lifecycle:
      {{- tpl (toYaml $values.lifecycle) $root | nindent 6 }}
    {{- else if and (gt (int64 $values.preStopSleepSeconds) 0) (semverCompare ">=1.30-0" $root.Capabilities.KubeVersion.Version) }}
    lifecycle:
      preStop:
        sleep:
          seconds: {{ int64 $values.preStopSleepSeconds }}
    {{- end }}
    {{- end }}
    {{- with .resources }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    volumeMounts:
      - name: config
        mountPath: /etc/ktb/config
        readOnly: true
      {{- $mounted := dict }}
      {{- range $values.extraVolumeMounts }}{{- $_ := set $mounted (toString .mountPath | trimSuffix "/") true }}{{- end }}
      {{- if not (get $mounted "/tmp") }}
      - name: tmp
        mountPath: /tmp
      {{- end }}
      {{- range $part := list "kafka" "temporal" "clickhouse" }}
      {{- if include "ktb.tlsSources" (dict "tls" (get $root.Values.credentials $part).tls) | fromYamlArray }}
      - name: {{ $part }}-tls
        mountPath: /etc/ktb/tls/{{ $part }}
        readOnly: true
      {{- end }}
      {{- end }}
      {{- if include "ktb.credentialSources" $root | fromYamlArray }}
      - name: credentials
        mountPath: /etc/ktb/credentials
        readOnly: true
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- tpl (toYaml .) $root | nindent 6 }}
      {{- end }}
  {{- if .daemon }}
  {{- with $values.extraContainers }}
  {{- tpl (toYaml .) $root | nindent 2 }}
  {{- end }}
  {{- end }}
volumes:
  - name: config
    configMap:
      name: {{ default (include "ktb.fullname" $root) $root.Values.existingConfigMap | quote }}
      {{- if $root.Values.existingConfigMap }}
      items:
        - { key: {{ $root.Values.existingConfigMapKey | quote }}, path: ktb.yaml }
      {{- end }}
  {{- $own := dict }}
  {{- range $values.extraVolumes }}{{- $_ := set $own (toString .name) true }}{{- end }}
  {{- if not $own.tmp }}
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- end }}
  {{- range $part := list "kafka" "temporal" "clickhouse" }}
  {{- with include "ktb.tlsSources" (dict "tls" (get $root.Values.credentials $part).tls) | fromYamlArray }}
  - name: {{ $part }}-tls
    projected:
      defaultMode: 0440
      sources:
        {{- toYaml . | nindent 8 }}
  {{- end }}
  {{- end }}
  {{- with include "ktb.credentialSources" $root | fromYamlArray }}
  - name: credentials
    projected:
      defaultMode: 0440
      sources:
        {{- toYaml . | nindent 8 }}
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- tpl (toYaml .) $root | nindent 2 }}
  {{- end }}
{{- end -}}
