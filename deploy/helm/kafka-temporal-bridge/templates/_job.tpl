{{/*
A Job that runs once for each configuration and image: a Job's pod cannot be changed, so another pod is another Job. It is no
hook, since hooks after the installation wait for pods that wait for their topics. Takes root, component, job (its values), args.
*/}}
{{- define "ktb.job" -}}
{{- $pod := include "ktb.jobPod" . | fromYaml -}}
apiVersion: batch/v1
kind: Job
{{ include "ktb.metadata" (dict "root" .root "name" $pod.name "component" .component "annotations" .job.annotations) }}
spec:
  backoffLimit: {{ int64 .job.backoffLimit }}
  activeDeadlineSeconds: {{ int64 .job.activeDeadlineSeconds }}
  {{- if not (kindIs "invalid" .job.ttlSecondsAfterFinished) }}
  ttlSecondsAfterFinished: {{ int64 .job.ttlSecondsAfterFinished }}
  {{- end }}
  template:
    metadata:
      {{- toYaml $pod.metadata | nindent 6 }}
    spec:
      {{- toYaml $pod.spec | nindent 6 }}
{{- end -}}

{{/*
A pod that runs a command of `ktb` once: metadata, spec, and a name that changes with anything of them. It has the daemon's
credentials, or those that its own values name. Takes root, component, job (its values), args.
*/}}
{{- define "ktb.jobPod" -}}
{{- $own := include "ktb.named" .job.credentials | fromYaml -}}
{{- $values := include "ktb.merge" (dict "base" .root.Values "over" (dict "credentials" $own)) | fromYaml -}}
{{- /* A ConfigMap of its own replaces a Secret, which would go before it. */ -}}
{{- range $part, $credentials := $own -}}
{{- if dig "tls" "ca" "existingConfigMap" "" $credentials -}}
{{- $_ := set (get $values.credentials $part).tls.ca "existingSecret" "" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $values "podLabels" .job.podLabels -}}
{{- $root := set (omit .root "Values") "Values" $values -}}
{{- $pod := dict "root" $root "component" .component "values" $values "args" .args "resources" .job.resources -}}
{{- $metadata := dict "labels" (include "ktb.podLabels" $pod | fromYaml) -}}
{{- with .job.podAnnotations -}}
{{- $_ := set $metadata "annotations" (include "ktb.rendered" (dict "root" $root "value" .) | fromYaml) -}}
{{- end -}}
{{- $spec := include "ktb.podSpec" $pod | fromYaml -}}
{{- $hash := printf "%s%s%s%v" (include "ktb.config" .root) (toYaml $metadata) (toYaml $spec) (pick .job "backoffLimit" "activeDeadlineSeconds" "ttlSecondsAfterFinished") | sha256sum | trunc 8 -}}
{{- toYaml (dict "metadata" $metadata "spec" $spec "name" (printf "%s-%s-%s" (include "ktb.fullname" .root) .component $hash)) -}}
{{- end -}}
