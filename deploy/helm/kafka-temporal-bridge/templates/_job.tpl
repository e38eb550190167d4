{{/*
A Job that runs once for each configuration and image: a Job cannot be changed, so another one of them is another Job. It is no
hook, since hooks after the installation wait for pods that wait for their topics. Takes root, component, job (its values), args.
*/}}
{{- define "ktb.job" -}}
{{- $root := .root -}}
{{- $pod := dict "root" $root "component" .component "values" $root.Values "args" .args "resources" .job.resources -}}
{{- $spec := include "ktb.podSpec" $pod -}}
{{- $hash := printf "%s%s%v" (include "ktb.config" $root) $spec .job | sha256sum | trunc 8 -}}
apiVersion: batch/v1
kind: Job
{{ include "ktb.metadata" (dict "root" $root "name" (printf "%s-%s-%s" (include "ktb.fullname" $root) .component $hash) "component" .component "annotations" .job.annotations) }}
spec:
  backoffLimit: {{ int64 .job.backoffLimit }}
  activeDeadlineSeconds: {{ int64 .job.activeDeadlineSeconds }}
  template:
    metadata:
      labels:
        {{- include "ktb.podLabels" $pod | nindent 8 }}
      {{- with $root.Values.podAnnotations }}
      annotations:
        {{- tpl (toYaml .) $root | nindent 8 }}
      {{- end }}
    spec:
      {{- $spec | nindent 6 }}
{{- end -}}
