{{/*
A Job that runs once for each configuration and image: a Job's pod cannot be changed, so another pod is another Job. It is no
hook, since hooks after the installation wait for pods that wait for their topics. Takes root, component, job (its values), args.
*/}}
{{- define "ktb.job" -}}
{{- $root := .root -}}
{{- $pod := dict "root" $root "component" .component "values" $root.Values "args" .args "resources" .job.resources -}}
{{- $spec := include "ktb.podSpec" $pod -}}
{{- $metadata := include "ktb.jobPodMetadata" $pod -}}
{{- $hash := printf "%s%s%s%v" (include "ktb.config" $root) $metadata $spec (omit .job "annotations") | sha256sum | trunc 8 -}}
apiVersion: batch/v1
kind: Job
{{ include "ktb.metadata" (dict "root" $root "name" (printf "%s-%s-%s" (include "ktb.fullname" $root) .component $hash) "component" .component "annotations" .job.annotations) }}
spec:
  backoffLimit: {{ int64 .job.backoffLimit }}
  activeDeadlineSeconds: {{ int64 .job.activeDeadlineSeconds }}
  template:
    metadata:
      {{- $metadata | nindent 6 }}
    spec:
      {{- $spec | nindent 6 }}
{{- end -}}

{{/* `metadata:` of a Job's pod. Takes root, component, values. */}}
{{- define "ktb.jobPodMetadata" -}}
labels:
  {{- include "ktb.podLabels" . | nindent 2 }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- include "ktb.rendered" (dict "root" $.root "value" .) | nindent 2 }}
{{- end }}
{{- end -}}
