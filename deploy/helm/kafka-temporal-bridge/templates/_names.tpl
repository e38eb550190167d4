{{/* The chart's name, or what replaces it. */}}
{{- define "ktb.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
What all names begin with: short enough for what comes after it, and without the dots that no Service may have. Of a longer one
the end becomes a hash, so that two names that begin alike stay two.
*/}}
{{- define "ktb.fullname" -}}
{{- $name := include "ktb.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | replace "." "-" -}}
{{- $full = default $full .Values.fullnameOverride -}}
{{- if le (len $full) 48 -}}
{{- trimSuffix "-" $full -}}
{{- else -}}
{{- printf "%s-%s" (trunc 39 $full | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- end -}}

{{/* Name of an object that may be in a namespace that releases share. Takes root, namespace. */}}
{{- define "ktb.sharedName" -}}
{{- $own := include "ktb.namespace" .root -}}
{{- $fullname := include "ktb.fullname" .root -}}
{{- eq (default $own .namespace) $own | ternary $fullname (printf "%s-%s" $own $fullname) -}}
{{- end -}}

{{- define "ktb.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "ktb.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "ktb.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/*
Labels of a selector: nothing that a new version of the chart or other values change, since a selector cannot be changed.
Takes root, component.
*/}}
{{- define "ktb.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ktb.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object. Takes root; component and labels where there are any. */}}
{{- define "ktb.labels" -}}
{{- $fixed := dict "app.kubernetes.io/name" (include "ktb.name" .root) "app.kubernetes.io/instance" .root.Release.Name -}}
{{- with .component -}}
{{- $_ := set $fixed "app.kubernetes.io/component" . -}}
{{- end -}}
{{- $standard := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" (toString .root.Chart.AppVersion | replace "+" "_" | trunc 63)
  "app.kubernetes.io/part-of" "kafka-temporal-bridge"
  "app.kubernetes.io/managed-by" .root.Release.Service
-}}
{{- toYaml (merge $fixed (include "ktb.rendered" (dict "root" .root "value" .labels) | fromYaml) (include "ktb.rendered" (dict "root" .root "value" .root.Values.commonLabels) | fromYaml) $standard) -}}
{{- end -}}

{{/* Labels of a pod: without versions, so that a new version of the chart alone restarts nothing. Takes root, component, values. */}}
{{- define "ktb.podLabels" -}}
{{- $fixed := include "ktb.selectorLabels" . | fromYaml -}}
{{- $standard := dict "app.kubernetes.io/part-of" "kafka-temporal-bridge" -}}
{{- toYaml (merge $fixed (include "ktb.rendered" (dict "root" .root "value" .values.podLabels) | fromYaml) (include "ktb.rendered" (dict "root" .root "value" .root.Values.commonLabels) | fromYaml) $standard) -}}
{{- end -}}

{{/* YAML of a value, with its {{ }} filled in. Takes root, value. */}}
{{- define "ktb.rendered" -}}
{{- tpl (toYaml .value) .root -}}
{{- end -}}

{{/* `metadata:` of an object. Takes root, name; component, annotations, labels, namespace where there are any. */}}
{{- define "ktb.metadata" -}}
{{- $annotations := include "ktb.merge" (dict "base" .root.Values.commonAnnotations "over" .annotations) | fromYaml -}}
metadata:
  name: {{ .name | quote }}
  namespace: {{ default (include "ktb.namespace" .root) .namespace | quote }}
  labels:
    {{- include "ktb.labels" . | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- include "ktb.rendered" (dict "root" $.root "value" .) | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "ktb.image" -}}
{{- $name := list (default .Values.image.registry .Values.global.imageRegistry) .Values.image.repository | compact | join "/" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default (.Chart.AppVersion | replace "+" "_") .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Pull secrets of the chart and of `global`, each as {name}. */}}
{{- define "ktb.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat (default list .Values.global.imagePullSecrets) (default list .Values.imagePullSecrets) -}}
{{- $names = append $names (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with uniq $names -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/*
The map `base` with everything of `over` in it, maps in maps too. Other than mergeOverwrite it also takes what is empty,
such as false and 0. As in Helm's values, null takes a key away. Without `base`, `over` without its nulls.
*/}}
{{- define "ktb.merge" -}}
{{- $result := deepCopy (default dict .base) -}}
{{- range $key, $value := default dict .over -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $result $key -}}
{{- else if kindIs "map" $value -}}
{{- $old := get $result $key -}}
{{- $_ := set $result $key (include "ktb.merge" (dict "base" (kindIs "map" $old | ternary $old dict) "over" $value) | fromYaml) -}}
{{- else -}}
{{- $_ := set $result $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $result -}}
{{- end -}}

{{/* Name of a Deployment and of what belongs to it. Takes root, component. */}}
{{- define "ktb.roleName" -}}
{{- $fullname := include "ktb.fullname" .root -}}
{{- eq .component "combined" | ternary $fullname (printf "%s-%s" $fullname .component) -}}
{{- end -}}

{{/*
The Deployments: a list of name, component, role (what `ktb run` is told), consumes, flushes, values (those of the chart
with those of the role in them).
*/}}
{{- define "ktb.roles" -}}
{{- $values := .Values -}}
{{- $roles := list -}}
{{- if eq .Values.deploymentMode "split" -}}
{{- range $component := list "consumer" "worker" -}}
{{- $own := include "ktb.merge" (dict "base" $values "over" (get $values $component)) | fromYaml -}}
{{- $roles = append $roles (dict "name" (include "ktb.roleName" (dict "root" $ "component" $component)) "component" $component "role" $component "consumes" (eq $component "consumer") "flushes" (eq $component "worker") "values" $own) -}}
{{- end -}}
{{- else -}}
{{- $values = include "ktb.merge" (dict "base" $values) | fromYaml -}}
{{- $roles = append $roles (dict "name" (include "ktb.fullname" .) "component" "combined" "role" "both" "consumes" true "flushes" true "values" $values) -}}
{{- end -}}
{{- /* A section that null has taken away is off. */ -}}
{{- range $role := $roles -}}
{{- range $section := list "autoscaling" "keda" "podDisruptionBudget" -}}
{{- if not (get $role.values $section) -}}
{{- $_ := set $role.values $section (dict "enabled" false) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $roles -}}
{{- end -}}
