{{/* `${file:...}` of a file of one of the parts. */}}
{{- define "ktb.fileReference" -}}
{{- printf "${file:/etc/ktb/tls/%s/%s}" .part .file -}}
{{- end -}}

{{/* The files of a part's TLS volume: a list of the sources of a projected volume. Takes tls. */}}
{{- define "ktb.tlsSources" -}}
{{- $sources := list -}}
{{- with .tls.ca -}}
{{- $items := list (dict "key" .key "path" "ca.crt") -}}
{{- if .existingSecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
{{- else if .existingConfigMap -}}
{{- $sources = append $sources (dict "configMap" (dict "name" .existingConfigMap "items" $items)) -}}
{{- end -}}
{{- end -}}
{{- with .tls.client -}}
{{- if .existingSecret -}}
{{- $items := list (dict "key" .certKey "path" "tls.crt") (dict "key" .keyKey "path" "tls.key") -}}
{{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $sources -}}
{{- end -}}

{{/* What a `tls` or `ssl` of the configuration gets from a part's credentials. Takes part, tls. */}}
{{- define "ktb.tlsReferences" -}}
{{- $references := dict -}}
{{- if or .tls.ca.existingSecret .tls.ca.existingConfigMap -}}
{{- $_ := set $references "ca" (include "ktb.fileReference" (dict "part" .part "file" "ca.crt")) -}}
{{- end -}}
{{- if .tls.client.existingSecret -}}
{{- $_ := set $references "cert" (include "ktb.fileReference" (dict "part" .part "file" "tls.crt")) -}}
{{- $_ := set $references "key" (include "ktb.fileReference" (dict "part" .part "file" "tls.key")) -}}
{{- end -}}
{{- toYaml $references -}}
{{- end -}}

{{/* `config` after Helm's {{ }} in it, without the keys that are null. */}}
{{- define "ktb.givenConfig" -}}
{{- include "ktb.merge" (dict "over" (tpl (toYaml .Values.config) . | fromYaml)) -}}
{{- end -}}

{{/* The keys of config.kafka.sasl for user and secret, by its mechanism. Takes config. */}}
{{- define "ktb.saslKeys" -}}
{{- if eq (dig "kafka" "sasl" "mechanism" "" .) "oauthbearer" -}}
{{- toYaml (dict "user" "clientId" "secret" "clientSecret") -}}
{{- else -}}
{{- toYaml (dict "user" "username" "secret" "password") -}}
{{- end -}}
{{- end -}}

{{/*
Environment variables for KEDA, which takes these settings from there alone: a list of name, parameter, value; empty unless the
mechanism is oauthbearer. Takes config.
*/}}
{{- define "ktb.tokenVariables" -}}
{{- $variables := list -}}
{{- if eq (dig "kafka" "sasl" "mechanism" "" .) "oauthbearer" -}}
{{- with dig "kafka" "sasl" "tokenUrl" "" . -}}
{{- $variables = append $variables (dict "name" "KTB_KAFKA_TOKEN_URL" "parameter" "oauthTokenEndpointUri" "value" .) -}}
{{- end -}}
{{- with dig "kafka" "sasl" "scope" "" . -}}
{{- /* KEDA wants commas between them. */ -}}
{{- $variables = append $variables (dict "name" "KTB_KAFKA_SCOPES" "parameter" "scopes" "value" (regexReplaceAll "\\s+" (trim .) ",")) -}}
{{- end -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/*
Environment variables that credentials give: a list of name; part and key, where the configuration refers to it (of kafka, in sasl);
secret, empty where none is named, and secretKey; isGiven where `config` itself has that key, and value, which the variable then has.
*/}}
{{- define "ktb.secretVariables" -}}
{{- $config := include "ktb.givenConfig" . | fromYaml -}}
{{- $sasl := .Values.credentials.kafka.sasl -}}
{{- $apiKey := .Values.credentials.temporal.apiKey -}}
{{- $auth := .Values.credentials.clickhouse.auth -}}
{{- $token := .Values.credentials.clickhouse.accessToken -}}
{{- $metrics := .Values.credentials.metrics.token -}}
{{- /* The value is not for the daemon, which has it in its configuration, but for KEDA. */ -}}
{{- $keys := include "ktb.saslKeys" $config | fromYaml -}}
{{- $user := dig "kafka" "sasl" $keys.user "" $config -}}
{{- toYaml (list
  (dict "name" "KTB_KAFKA_USERNAME" "part" "kafka" "key" $keys.user "secret" $sasl.existingSecret "secretKey" $sasl.usernameKey "isGiven" (not (empty $user)) "value" $user)
  (dict "name" "KTB_KAFKA_PASSWORD" "part" "kafka" "key" $keys.secret "secret" $sasl.existingSecret "secretKey" $sasl.passwordKey)
  (dict "name" "KTB_TEMPORAL_API_KEY" "part" "temporal" "key" "apiKey" "secret" $apiKey.existingSecret "secretKey" $apiKey.key)
  (dict "name" "KTB_CLICKHOUSE_USERNAME" "part" "clickhouse" "key" "username" "secret" $auth.existingSecret "secretKey" $auth.usernameKey "isGiven" (not (empty (dig "clickhouse" "username" "" $config))))
  (dict "name" "KTB_CLICKHOUSE_PASSWORD" "part" "clickhouse" "key" "password" "secret" $auth.existingSecret "secretKey" $auth.passwordKey)
  (dict "name" "KTB_CLICKHOUSE_ACCESS_TOKEN" "part" "clickhouse" "key" "accessToken" "secret" $token.existingSecret "secretKey" $token.key)
  (dict "name" "KTB_METRICS_TOKEN" "part" "http" "key" "metricsToken" "secret" $metrics.existingSecret "secretKey" $metrics.key)
) -}}
{{- end -}}

{{/* The files that stand for these variables with `credentialFiles`: a list of the sources of a projected volume. */}}
{{- define "ktb.credentialSources" -}}
{{- $sources := list -}}
{{- if .Values.credentialFiles -}}
{{- range include "ktb.secretVariables" . | fromYamlArray -}}
{{- if and .secret (not .isGiven) -}}
{{- $sources = append $sources (dict "secret" (dict "name" .secret "items" (list (dict "key" .secretKey "path" .name)))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $sources -}}
{{- end -}}

{{/* The daemon's configuration: references to the credentials, and over them what `config` says. */}}
{{- define "ktb.config" -}}
{{- $given := include "ktb.givenConfig" . | fromYaml -}}
{{- $credentials := .Values.credentials -}}
{{- $references := dict "kafka" dict "temporal" dict "clickhouse" dict "http" dict -}}
{{- $sasl := dict -}}
{{- range include "ktb.secretVariables" . | fromYamlArray -}}
{{- if .secret -}}
{{- $reference := ternary (printf "${file:/etc/ktb/credentials/%s}" .name) (printf "${%s}" .name) $.Values.credentialFiles -}}
{{- $_ := set (eq .part "kafka" | ternary $sasl (get $references .part)) .key $reference -}}
{{- end -}}
{{- end -}}
{{- if $sasl -}}{{- $_ := set $references.kafka "sasl" $sasl -}}{{- end -}}
{{- /* As the daemon itself does: an API key turns it on. */ -}}
{{- if $references.temporal.apiKey -}}{{- $_ := set $references.temporal "tls" true -}}{{- end -}}
{{- with include "ktb.tlsReferences" (dict "part" "kafka" "tls" $credentials.kafka.tls) | fromYaml -}}
{{- $_ := set $references.kafka "ssl" . -}}
{{- end -}}
{{- with include "ktb.tlsReferences" (dict "part" "temporal" "tls" $credentials.temporal.tls) | fromYaml -}}
{{- $_ := set $references.temporal "tls" . -}}
{{- end -}}
{{- with include "ktb.tlsReferences" (dict "part" "clickhouse" "tls" $credentials.clickhouse.tls) | fromYaml -}}
{{- $_ := set $references.clickhouse "tls" . -}}
{{- end -}}
{{- /* `true` for TLS says no more than the references do. */ -}}
{{- range $part, $key := dict "kafka" "ssl" "temporal" "tls" -}}
{{- $own := default dict (get $given $part) -}}
{{- if and (eq (toString (get $own $key)) "true") (kindIs "map" (get (get $references $part) $key)) -}}
{{- $_ := unset $own $key -}}
{{- end -}}
{{- end -}}
{{- range $part, $reference := $references -}}
{{- if not $reference -}}{{- $_ := unset $references $part -}}{{- end -}}
{{- end -}}
{{- include "ktb.merge" (dict "base" $references "over" $given) -}}
{{- end -}}

{{/*
The part of the configuration whose changes replace the pods: all of it, or with `liveReload` what the daemon reads only at its start
(docs/configuration.md has them, marked as live).
*/}}
{{- define "ktb.startConfig" -}}
{{- if .Values.liveReload -}}
{{- $config := include "ktb.config" . | fromYaml -}}
{{- $_ := unset (default dict $config.log) "level" -}}
{{- if not $config.log -}}{{- $_ := unset $config "log" -}}{{- end -}}
{{- range default dict $config.pipelines -}}
{{- $pipeline := . -}}
{{- range list "batch" "columns" "insert" "signal" "tombstones" "unknownFields" "where" -}}
{{- $_ := unset $pipeline . -}}
{{- end -}}
{{- $_ := unset (default dict $pipeline.reply) "copyHeaders" -}}
{{- end -}}
{{- toYaml $config -}}
{{- else -}}
{{- include "ktb.config" . -}}
{{- end -}}
{{- end -}}

{{/* A duration of the configuration (250ms, 1s, 5m) in whole seconds, rounded up; empty where it is a reference. */}}
{{- define "ktb.seconds" -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" . -}}
{{- $unit := regexFind "(ms|s|m|h|d)$" . -}}
{{- if and $number $unit -}}
{{- $factor := get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0) $unit -}}
{{- mulf (float64 $number) $factor | ceil | int64 -}}
{{- end -}}
{{- end -}}

{{/* `config.http.listen`, where it is not said the daemon's own default. */}}
{{- define "ktb.listen" -}}
{{- $config := include "ktb.givenConfig" . | fromYaml -}}
{{- dig "http" "listen" ":9464" $config -}}
{{- end -}}

{{/* Port of /metrics, /livez and /readyz. */}}
{{- define "ktb.port" -}}
{{- include "ktb.listen" . | splitList ":" | last -}}
{{- end -}}

{{/* Port of the Temporal SDK's /metrics; empty where there are none, or the address is a reference. */}}
{{- define "ktb.temporalPort" -}}
{{- $config := include "ktb.givenConfig" . | fromYaml -}}
{{- include "ktb.portOf" (dig "http" "temporalListen" "" $config) -}}
{{- end -}}

{{/*
Seconds that an end may need: preStop, config.shutdown.deadline, the 5 s after which the daemon ends itself when its
shutdown hangs, and 5 s for starting and ending containers. Empty where the deadline is a reference. Takes root, values.
*/}}
{{- define "ktb.gracePeriodNeeded" -}}
{{- $config := include "ktb.givenConfig" .root | fromYaml -}}
{{- with include "ktb.seconds" (dig "shutdown" "deadline" "25s" $config) -}}
{{- add (int64 .) (int64 $.values.preStopSleepSeconds) 10 -}}
{{- end -}}
{{- end -}}

{{/* The brokers of a configuration, each as host:port: the daemon also takes several in one text, and a scheme before each. */}}
{{- define "ktb.brokers" -}}
{{- $brokers := list -}}
{{- range regexSplit "[\\s,]+" (dig "kafka" "brokers" list . | join ",") -1 | compact -}}
{{- $brokers = append $brokers (regexReplaceAll "^[A-Za-z][A-Za-z0-9_]*://" . "") -}}
{{- end -}}
{{- toYaml $brokers -}}
{{- end -}}

{{/* Port at the end of an address or URL: the one written, else the one of the scheme; empty where there is none, or nobody knows it here. */}}
{{- define "ktb.portOf" -}}
{{- /* The path of a file in a reference is no part of the host. */ -}}
{{- $host := regexReplaceAll "^[a-z]+://" (regexReplaceAll "[$][{][^}]*[}]" . "$${}") "" | splitList "/" | first -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- if $port -}}
{{- $port -}}
{{- else if contains "${" $host -}}
{{- else if hasPrefix "https://" . -}}
443
{{- else if hasPrefix "http://" . -}}
80
{{- end -}}
{{- end -}}

{{/* The ports of several addresses, each once. An empty list if one of them is not known, or there is no address. */}}
{{- define "ktb.portsOf" -}}
{{- $ports := list -}}
{{- $known := true -}}
{{- range . -}}
{{- with include "ktb.portOf" . -}}
{{- $ports = append $ports (int64 .) -}}
{{- else -}}
{{- $known = false -}}
{{- end -}}
{{- end -}}
{{- toYaml (ternary (uniq $ports) list $known) -}}
{{- end -}}
