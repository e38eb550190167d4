{{/* What no schema can tell. Every problem at once, in words that say what to do. */}}
{{- define "ktb.validate" -}}
{{- $problems := list -}}
{{- $config := include "ktb.givenConfig" . | fromYaml -}}
{{- with $config.Error -}}
{{- $problems = append $problems (printf "config is not YAML once its {{ }} are filled in: %s" .) -}}
{{- end -}}
{{- $kafka := default dict $config.kafka -}}
{{- $temporal := default dict $config.temporal -}}
{{- $clickhouse := default dict $config.clickhouse -}}
{{- $credentials := .Values.credentials -}}

{{- if .Values.existingConfigMap -}}
{{- if $config -}}
{{- $problems = append $problems "config and existingConfigMap are both set: the daemon reads one of them" -}}
{{- end -}}
{{- else -}}
{{- if not $config.pipelines -}}
{{- $problems = append $problems "config.pipelines is empty: name at least one, such as {orders: {topics: [orders], table: orders}}" -}}
{{- end -}}
{{- if not $kafka.brokers -}}
{{- $problems = append $problems "config.kafka.brokers is missing: the daemon's default, localhost:9092, is not Kafka in a pod" -}}
{{- end -}}
{{- if not (or $temporal.address .Values.extraEnvFrom (contains "TEMPORAL_" (toJson .Values.extraEnv))) -}}
{{- $problems = append $problems "config.temporal.address is missing: the daemon's default, localhost:7233, is not Temporal in a pod" -}}
{{- end -}}
{{- if not (or $clickhouse.url $clickhouse.urls) -}}
{{- $problems = append $problems "config.clickhouse.url is missing: the daemon's default, http://localhost:8123, is not ClickHouse in a pod" -}}
{{- end -}}
{{- end -}}

{{- $addresses := dict "config.clickhouse.url" (list (default "" $clickhouse.url)) "config.clickhouse.urls" (default list $clickhouse.urls) -}}
{{- range $path, $all := $addresses -}}
{{- if contains "@" (regexReplaceAll "[$][{][^}]*[}]" (join " " $all) "") -}}
{{- $problems = append $problems (printf "%s has a user or a password in it, and config becomes a ConfigMap: put them into a Secret and name that in credentials.clickhouse.auth.existingSecret" $path) -}}
{{- end -}}
{{- /* A password may be among them. Never print one. */ -}}
{{- if contains "?" (regexReplaceAll "[$][{][^}]*[}]" (join " " $all) "") -}}
{{- $problems = append $problems (printf "%s has parameters (?…), which the daemon refuses, and config becomes a ConfigMap: put user and password into a Secret and name that in credentials.clickhouse.auth.existingSecret, and settings into config.clickhouse.settings" $path) -}}
{{- end -}}
{{- if and (include "ktb.tlsReferences" (dict "part" "clickhouse" "tls" $credentials.clickhouse.tls) | fromYaml) (contains " http:" (printf " %s" (join " " $all))) -}}
{{- $problems = append $problems (printf "%s has an http:// address, but credentials.clickhouse.tls names certificates: write https://, or take them away" $path) -}}
{{- end -}}
{{- end -}}
{{- $urls := dict
  "config.kafka.sasl.tokenUrl" (list (dig "sasl" "tokenUrl" "" $kafka) "name that in credentials.kafka.sasl.existingSecret")
  "config.schemaRegistry.url" (list (dig "schemaRegistry" "url" "" $config) "refer to them in config.schemaRegistry.username and password, by extraEnv")
-}}
{{- range $path, $pair := $urls -}}
{{- $url := regexReplaceAll "[$][{][^}]*[}]" (toString (first $pair)) "" -}}
{{- if regexMatch "^[^/?#]*//[^/?#]*@" $url -}}
{{- $problems = append $problems (printf "%s has a user or a password in it, and config becomes a ConfigMap: put them into a Secret and %s" $path (last $pair)) -}}
{{- end -}}
{{- if contains "?" $url -}}
{{- $problems = append $problems (printf "%s has parameters (?…), among which a secret may be, and config becomes a ConfigMap: put what comes after the host into a Secret, and refer to it by extraEnv, such as https://host/${NAME}" $path) -}}
{{- end -}}
{{- end -}}
{{- /* The daemon resolves a reference once: one to a variable that the chart fills from this very value leads nowhere. */ -}}
{{- range include "ktb.secretVariables" . | fromYamlArray -}}
{{- $section := default dict (get $config .part) -}}
{{- if eq .part "kafka" -}}{{- $section = default dict $section.sasl -}}{{- end -}}
{{- if and .secret (eq (toString (get $section .key)) (printf "${%s}" .name)) -}}
{{- $problems = append $problems (printf "config refers to ${%s}, which the chart does by itself with credentials: leave it out of config" .name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $pipeline := $config.pipelines -}}
{{- $columns := default dict $pipeline.columns -}}
{{- if or (hasKey $columns "true") (hasKey $columns "false") -}}
{{- $problems = append $problems (printf "config.pipelines.%s.columns has a column true or false, which is what YAML makes of y, n, yes, no, on and off: quote its name" $name) -}}
{{- end -}}
{{- end -}}

{{- /* Secrets in the ConfigMap. Never print one. */ -}}
{{- $secrets := dict
  "config.kafka.sasl.password" (list (dig "sasl" "password" "" $kafka) "credentials.kafka.sasl.existingSecret")
  "config.kafka.sasl.clientSecret" (list (dig "sasl" "clientSecret" "" $kafka) "credentials.kafka.sasl.existingSecret")
  "config.temporal.apiKey" (list (default "" $temporal.apiKey) "credentials.temporal.apiKey.existingSecret")
  "config.clickhouse.password" (list (default "" $clickhouse.password) "credentials.clickhouse.auth.existingSecret")
  "config.http.metricsToken" (list (dig "http" "metricsToken" "" $config) "credentials.metrics.token.existingSecret")
  "config.clickhouse.accessToken" (list (default "" $clickhouse.accessToken) "credentials.clickhouse.accessToken.existingSecret")
  "config.schemaRegistry.password" (list (dig "schemaRegistry" "password" "" $config) "extraEnv, for a reference such as ${NAME}")
  "config.schemaRegistry.token" (list (dig "schemaRegistry" "token" "" $config) "extraEnv, for a reference such as ${NAME}")
-}}
{{- range $name, $key := dig "encryption" "keys" dict $temporal -}}
{{- $_ := set $secrets (printf "config.temporal.encryption.keys.%s" $name) (list (default "" $key) "extraEnv or extraVolumes, for a reference such as ${file:/path}") -}}
{{- end -}}
{{- if kindIs "map" $kafka.ssl -}}
{{- $_ := set $secrets "config.kafka.ssl.key" (list (default "" $kafka.ssl.key) "credentials.kafka.tls.client.existingSecret") -}}
{{- end -}}
{{- if kindIs "map" $temporal.tls -}}
{{- $_ := set $secrets "config.temporal.tls.key" (list (default "" $temporal.tls.key) "credentials.temporal.tls.client.existingSecret") -}}
{{- end -}}
{{- if kindIs "map" $clickhouse.tls -}}
{{- $_ := set $secrets "config.clickhouse.tls.key" (list (default "" $clickhouse.tls.key) "credentials.clickhouse.tls.client.existingSecret") -}}
{{- end -}}
{{- $ofRegistry := dig "schemaRegistry" "tls" "" $config -}}
{{- if kindIs "map" $ofRegistry -}}
{{- $_ := set $secrets "config.schemaRegistry.tls.key" (list (default "" $ofRegistry.key) "extraVolumes, for a reference such as ${file:/path}") -}}
{{- end -}}
{{- range $path, $pair := $secrets -}}
{{- $value := toString (first $pair) -}}
{{- if and $value (not (regexMatch "(^|[^$])[$][{]" $value)) -}}
{{- $problems = append $problems (printf "%s is a secret, and config becomes a ConfigMap: put it into a Secret and name that in %s" $path (last $pair)) -}}
{{- end -}}
{{- end -}}

{{- if and $credentials.kafka.sasl.existingSecret (not .Values.existingConfigMap) (not (dig "sasl" "mechanism" "" $kafka)) -}}
{{- $problems = append $problems "config.kafka.sasl.mechanism is missing: credentials.kafka.sasl needs plain, scram-sha-256, scram-sha-512 or oauthbearer beside it" -}}
{{- end -}}
{{- if and $credentials.kafka.sasl.existingSecret (eq (dig "sasl" "mechanism" "" $kafka) "aws-msk-iam") -}}
{{- $problems = append $problems "credentials.kafka.sasl names a Secret, but config.kafka.sasl.mechanism is aws-msk-iam, which takes the role of the pods: take the Secret away, and annotate the ServiceAccount with the role" -}}
{{- end -}}
{{- range $part, $key := dict "kafka" "ssl" "temporal" "tls" -}}
{{- $tls := (get $credentials $part).tls -}}
{{- $own := get (default dict (get $config $part)) $key -}}
{{- if and (include "ktb.tlsReferences" (dict "part" $part "tls" $tls) | fromYaml) (eq (toString $own) "false") -}}
{{- $problems = append $problems (printf "config.%s.%s is false, but credentials.%s.tls names certificates: take away one of them" $part $key $part) -}}
{{- end -}}
{{- if and $tls.ca.existingSecret $tls.ca.existingConfigMap -}}
{{- $problems = append $problems (printf "credentials.%s.tls.ca has both existingSecret and existingConfigMap: name one" $part) -}}
{{- end -}}
{{- end -}}
{{- if and $credentials.clickhouse.accessToken.existingSecret (or $credentials.clickhouse.auth.existingSecret $clickhouse.username $clickhouse.password) -}}
{{- $problems = append $problems "credentials.clickhouse.accessToken stands for user and password: take it away, or credentials.clickhouse.auth, config.clickhouse.username and config.clickhouse.password" -}}
{{- end -}}
{{- if and $credentials.clickhouse.tls.ca.existingSecret $credentials.clickhouse.tls.ca.existingConfigMap -}}
{{- $problems = append $problems "credentials.clickhouse.tls.ca has both existingSecret and existingConfigMap: name one" -}}
{{- end -}}

{{- $listen := include "ktb.listen" . -}}
{{- if not (regexMatch ":[1-9][0-9]*$" $listen) -}}
{{- $problems = append $problems (printf "config.http.listen is %s: probes need a port that is written out" $listen) -}}
{{- else if regexMatch "^(127[.]|localhost:|\\[?::1\\]?:)" $listen -}}
{{- $problems = append $problems (printf "config.http.listen is %s: probes come from outside the pod; leave the address out" $listen) -}}
{{- end -}}

{{- if and .Values.service.enabled (eq (include "ktb.temporalPort" .) (toString (int64 .Values.service.port))) -}}
{{- $problems = append $problems (printf "service.port is %d, which is the Service's port for config.http.temporalListen: choose another one" (int64 .Values.service.port)) -}}
{{- end -}}

{{- $fullname := include "ktb.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname) -}}
{{- $problems = append $problems (printf "names would begin with %s, as no Service's may: give a fullnameOverride of a letter and then letters, digits and -, all lower-case" $fullname) -}}
{{- end -}}

{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled -}}
{{- $egress := .Values.networkPolicy.egress -}}
{{- $parts := dict
  "config.kafka.brokers" (list (include "ktb.brokers" $config | fromYamlArray) "kafkaTo" "host:port")
  "config.temporal.address" (list (list (default "" $temporal.address)) "temporalTo" "host:port")
  "config.clickhouse.url" (list (default (list (default "" $clickhouse.url)) $clickhouse.urls) "clickhouseTo" "https://host:port")
-}}
{{- $said := join " " $problems -}}
{{- range $path, $part := $parts -}}
{{- $to := index $part 1 -}}
{{- if and (not (contains (printf "%s is missing" $path) $said)) (not (include "ktb.portsOf" (first $part) | fromYamlArray)) (not (get $egress $to)) -}}
{{- $problems = append $problems (printf "%s has no port that the chart knows, so that the NetworkPolicy would open all ports of everybody: write %s, whose host may be a reference, or name the peers in networkPolicy.egress.%s" $path (last $part) $to) -}}
{{- end -}}
{{- end -}}
{{- range $path, $url := dict "config.kafka.sasl.tokenUrl" (dig "sasl" "tokenUrl" "" $kafka) "config.schemaRegistry.url" (dig "schemaRegistry" "url" "" $config) -}}
{{- if and $url (not (include "ktb.portOf" $url)) -}}
{{- $problems = append $problems (printf "%s has no port that the chart knows, so that the NetworkPolicy would open all ports of everybody: write https://host:port, whose host may be a reference" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- $problems = append $problems "serviceMonitor and podMonitor are both enabled: every pod would be scraped twice" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) -}}
{{- $problems = append $problems "serviceMonitor needs service.enabled: true; podMonitor does without a Service" -}}
{{- end -}}

{{- if and (eq .Values.deploymentMode "combined") (or .Values.consumer .Values.worker) -}}
{{- $problems = append $problems "consumer or worker has values, but deploymentMode is combined, which has no such pods: set deploymentMode: split, or take them away" -}}
{{- end -}}
{{- $own := include "ktb.named" .Values.setup.credentials | fromYaml -}}
{{- $over := include "ktb.namesIn" $own | fromYamlArray -}}
{{- $known := include "ktb.namesIn" $credentials | fromYamlArray -}}
{{- range $over -}}
{{- if not (has . $known) -}}
{{- $problems = append $problems (printf "setup.credentials has %s, which names nothing in credentials: the configuration, which setup shares with the daemon, would have no reference to it" .) -}}
{{- end -}}
{{- end -}}

{{- $saslKeys := include "ktb.saslKeys" $config | fromYaml -}}
{{- range $part, $key := dict "kafka" "sasl" "clickhouse" "auth" -}}
{{- $section := eq $part "kafka" | ternary (default dict $kafka.sasl) $clickhouse -}}
{{- /* Another Secret, or other keys of the same one. */ -}}
{{- $daemons := get (get $credentials $part) $key -}}
{{- $setups := include "ktb.merge" (dict "base" $daemons "over" (dig $part $key dict $own)) -}}
{{- range $name := eq $part "kafka" | ternary (list $saslKeys.user $saslKeys.secret) (list "username" "password") -}}
{{- if and (get $section $name) (ne $setups (toYaml $daemons)) -}}
{{- $path := printf "config.%s%s.%s" $part (eq $part "kafka" | ternary ".sasl" "") $name -}}
{{- $problems = append $problems (printf "%s is set, and setup would have it, too, beside what setup.credentials.%s.%s gives it: take it away, and let each have its user and password in a Secret" $path $part $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $part := list "kafka" "temporal" "clickhouse" -}}
{{- $ca := dig $part "tls" "ca" dict $own -}}
{{- if and $ca.existingSecret $ca.existingConfigMap -}}
{{- $problems = append $problems (printf "setup.credentials.%s.tls.ca has both existingSecret and existingConfigMap: name one" $part) -}}
{{- end -}}
{{- end -}}

{{- $variables := list -}}
{{- range include "ktb.env" (dict "root" .) | fromYamlArray -}}
{{- $variables = append $variables .name -}}
{{- end -}}
{{- range $role := include "ktb.roles" . | fromYamlArray -}}
{{- $values := $role.values -}}
{{- $names := list -}}
{{- range $values.extraEnv -}}
{{- if or (has .name $names) (has .name $variables) -}}
{{- $problems = append $problems (printf "%s is twice in the environment, by extraEnv%s: Kubernetes takes the last one today, and refuses both where it applies on the server's side" .name (has .name $names | ternary "" " and by the chart")) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $volumes := list "config" "kafka-tls" "temporal-tls" "clickhouse-tls" -}}
{{- if include "ktb.credentialSources" $ | fromYamlArray -}}
{{- $volumes = append $volumes "credentials" -}}
{{- end -}}
{{- range $values.extraVolumes -}}
{{- if has .name $volumes -}}
{{- $problems = append $problems (printf "extraVolumes has one that is called %s, as one of the chart's own: give it another name" .name) -}}
{{- end -}}
{{- end -}}
{{- $where := ternary "" (printf "%s: " $role.component) (eq $role.component "combined") -}}
{{- $needed := include "ktb.gracePeriodNeeded" (dict "root" $ "values" $values) -}}
{{- $grace := $values.terminationGracePeriodSeconds -}}
{{- if and (not $needed) (kindIs "invalid" $grace) -}}
{{- $problems = append $problems (printf "%sterminationGracePeriodSeconds is missing, and config.shutdown.deadline is not a duration that it could be derived from" $where) -}}
{{- else if and $needed (not (kindIs "invalid" $grace)) -}}
{{- if lt (int64 $grace) (int64 $needed) -}}
{{- $problems = append $problems (printf "%sterminationGracePeriodSeconds is %d, too short for a drain: preStopSleepSeconds, config.shutdown.deadline and 10 s are %s" $where (int64 $grace) $needed) -}}
{{- end -}}
{{- end -}}
{{- if and $values.autoscaling.enabled $values.keda.enabled -}}
{{- $problems = append $problems (printf "%sautoscaling and keda are both enabled: two autoscalers would work against each other" $where) -}}
{{- end -}}
{{- with $values.autoscaling -}}
{{- if and .enabled (not (or .targetCPUUtilizationPercentage .targetMemoryUtilizationPercentage .metrics)) -}}
{{- $problems = append $problems (printf "%sautoscaling is enabled without a metric: set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics" $where) -}}
{{- end -}}
{{- if and .enabled (gt (int64 .minReplicas) (int64 .maxReplicas)) -}}
{{- $problems = append $problems (printf "%sautoscaling.minReplicas is %d, more than the %d of maxReplicas" $where (int64 .minReplicas) (int64 .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- range $path := list "autoscaling.minReplicas" "autoscaling.maxReplicas" "keda.pollingInterval" "keda.cooldownPeriod" "keda.minReplicaCount" "keda.maxReplicaCount" "keda.kafka.lagThreshold" "keda.temporal.targetQueueSize" "keda.temporal.activationTargetQueueSize" -}}
{{- $found := $values -}}
{{- range splitList "." $path -}}{{- $found = get (default dict $found) . -}}{{- end -}}
{{- if and (get $values (splitList "." $path | first)).enabled (not (kindIs "float64" $found)) -}}
{{- $problems = append $problems (printf "%s%s is null: give a number" $where $path) -}}
{{- end -}}
{{- end -}}
{{- with $values.podDisruptionBudget -}}
{{- if and (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) -}}
{{- $problems = append $problems (printf "%spodDisruptionBudget has both minAvailable and maxUnavailable: set one" $where) -}}
{{- end -}}
{{- $fewest := int64 (ternary $values.keda.minReplicaCount (ternary $values.autoscaling.minReplicas $values.replicaCount $values.autoscaling.enabled) $values.keda.enabled) -}}
{{- /* Kubernetes rounds a percentage up. */ -}}
{{- $kept := int64 (trimSuffix "%" (toString .minAvailable)) -}}
{{- $keepsAll := eq (toString .minAvailable) "100%" -}}
{{- if hasSuffix "%" (toString .minAvailable) -}}
{{- $kept = div (add (mul $kept $fewest) 99) 100 -}}
{{- end -}}
{{- $keepsAll = or $keepsAll (and (gt $fewest 0) (ge $kept $fewest)) -}}
{{- if and .enabled (or $keepsAll (regexMatch "^0%?$" (toString .maxUnavailable))) -}}
{{- $problems = append $problems (printf "%spodDisruptionBudget lets no pod go, of %d at least, so that no node could be drained: allow one, with maxUnavailable: 1, or set podDisruptionBudget.enabled: false" $where $fewest) -}}
{{- end -}}
{{- end -}}
{{- with $values.updateStrategy -}}
{{- if and (eq (toString .type) "Recreate") .rollingUpdate -}}
{{- $problems = append $problems (printf "%supdateStrategy has rollingUpdate beside the type Recreate, which Kubernetes refuses: take it away" $where) -}}
{{- end -}}
{{- end -}}
{{- if and $.Values.setup.enabled (le (int64 $values.progressDeadlineSeconds) (int64 $.Values.setup.activeDeadlineSeconds)) -}}
{{- $problems = append $problems (printf "%sprogressDeadlineSeconds is %d, not longer than the %d of setup.activeDeadlineSeconds: a rollout could fail while its topics are still being made" $where (int64 $values.progressDeadlineSeconds) (int64 $.Values.setup.activeDeadlineSeconds)) -}}
{{- end -}}
{{- if $values.keda.enabled -}}
{{- $problems = concat $problems (include "ktb.kedaProblems" (dict "root" $ "role" $role "config" $config "where" $where) | fromYamlArray) -}}
{{- end -}}
{{- end -}}

{{- if .Values.prometheusRule.enabled -}}
{{- $alerts := list -}}
{{- range (.Files.Get "files/rules.yaml" | fromYaml).groups -}}
{{- range .rules -}}{{- $alerts = append $alerts .alert -}}{{- end -}}
{{- end -}}
{{- range .Values.prometheusRule.disabled -}}
{{- if not (has . $alerts) -}}
{{- $problems = append $problems (printf "prometheusRule.disabled has %s, which is none of the alerts of files/rules.yaml" .) -}}
{{- end -}}
{{- end -}}
{{- range $name, $pipeline := $config.pipelines -}}
{{- $delay := dig "batch" "maxDelay" "" $pipeline -}}
{{- if ge (include "ktb.seconds" $delay | int64) (int64 $.Values.prometheusRule.oldestUnacknowledgedSeconds) -}}
{{- $problems = append $problems (printf "prometheusRule.oldestUnacknowledgedSeconds is %d, but records of pipeline %s may wait for its batch.maxDelay of %s, so that alerts would fire for nothing: raise it well above" (int64 $.Values.prometheusRule.oldestUnacknowledgedSeconds) $name $delay) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- with uniq $problems -}}
{{- fail (printf "\n\nThe values have %s:\n  - %s\n" (ternary "a problem" (printf "%d problems" (len .)) (eq (len .) 1)) (join "\n  - " .)) -}}
{{- end -}}
{{- end -}}

{{/* Takes root, role, config, where. */}}
{{- define "ktb.kedaProblems" -}}
{{- $problems := list -}}
{{- $keda := .role.values.keda -}}
{{- $credentials := .root.Values.credentials -}}
{{- $byKafka := and .role.consumes $keda.kafka.enabled -}}
{{- $byTemporal := and .role.flushes $keda.temporal.enabled -}}
{{- if gt (int64 $keda.minReplicaCount) (int64 $keda.maxReplicaCount) -}}
{{- $problems = append $problems (printf "%skeda.minReplicaCount is %d, more than the %d of maxReplicaCount" .where (int64 $keda.minReplicaCount) (int64 $keda.maxReplicaCount)) -}}
{{- end -}}
{{- if and .root.Values.existingConfigMap (or $byKafka $byTemporal) -}}
{{- $problems = append $problems (printf "%skeda makes its triggers of config, which is not known with existingConfigMap: use config, or do without keda" .where) -}}
{{- end -}}
{{- if and (not (kindIs "invalid" $keda.idleReplicaCount)) (ge (int64 $keda.idleReplicaCount) (int64 $keda.minReplicaCount)) -}}
{{- $problems = append $problems (printf "%skeda.idleReplicaCount is %d, which KEDA wants below the %d of minReplicaCount" .where (int64 $keda.idleReplicaCount) (int64 $keda.minReplicaCount)) -}}
{{- end -}}
{{- if not (or $byKafka $byTemporal) -}}
{{- $problems = append $problems (printf "%skeda is enabled without a trigger: enable keda.kafka or keda.temporal" .where) -}}
{{- end -}}
{{- if $byKafka -}}
{{- $partitions := include "ktb.partitions" (dict "root" .root "keda" $keda) -}}
{{- if and (not (kindIs "invalid" $keda.kafka.activationLagThreshold)) (lt (int64 $keda.kafka.activationLagThreshold) (int64 $partitions)) -}}
{{- $problems = append $problems (printf "%skeda.kafka.activationLagThreshold is %d, less than the %s of keda.kafka.partitions or setup.partitions: the marker that a transaction leaves in each partition would keep a pod alive for ever" .where (int64 $keda.kafka.activationLagThreshold) $partitions) -}}
{{- end -}}
{{- if and $keda.kafka.limitToPartitionsWithLag $keda.kafka.allowIdleConsumers -}}
{{- $problems = append $problems (printf "%skeda.kafka has both limitToPartitionsWithLag and allowIdleConsumers, which KEDA refuses: set one" .where) -}}
{{- end -}}
{{- $told := list (dig "kafka" "brokers" "" .config) (dig "kafka" "sasl" "mechanism" "" .config) -}}
{{- if not $keda.kafka.authenticationRef -}}
{{- $told = append $told (pick (dig "kafka" "sasl" dict .config) "username" "clientId" "tokenUrl" "scope" "region" "roleArn") -}}
{{- end -}}
{{- range $name, $pipeline := .config.pipelines -}}
{{- $told = append $told (list $pipeline.topics $pipeline.groupId $pipeline.startFrom) -}}
{{- end -}}
{{- if contains "${" (toJson $told) -}}
{{- $problems = append $problems (printf "%sKEDA does not resolve references such as ${NAME}: write brokers, topics, groups, mechanism, user and what else KEDA needs of config.kafka.sasl out, or do without keda.kafka" .where) -}}
{{- end -}}
{{- if not $keda.kafka.authenticationRef -}}
{{- $problems = concat $problems (include "ktb.kedaTlsProblems" (dict "where" .where "part" "kafka" "key" "ssl" "config" .config "tls" $credentials.kafka.tls) | fromYamlArray) -}}
{{- end -}}
{{- $ssl := dig "kafka" "ssl" "" .config -}}
{{- if and (contains "\"serverName\"" (toJson $ssl)) (not (hasKey (default dict $keda.kafka.metadata) "unsafeSsl")) -}}
{{- $problems = append $problems (printf "%sKEDA has no such setting as config.kafka.ssl.serverName: write brokers whose names are in their certificates, or set keda.kafka.metadata.unsafeSsl, or do without keda.kafka" .where) -}}
{{- end -}}
{{- $fewest := kindIs "invalid" $keda.idleReplicaCount | ternary "minReplicaCount" "idleReplicaCount" -}}
{{- if eq (int64 (get $keda $fewest)) 0 -}}
{{- range $name, $pipeline := .config.pipelines -}}
{{- if or (eq (toString $pipeline.startFrom) "latest") (regexMatch "\"/" (toJson $pipeline.topics)) -}}
{{- $problems = append $problems (printf "%skeda.%s is 0, but KEDA sees no lag that would start the first consumer of pipeline %s: before its group has committed anything there is none with startFrom: latest, nor in topics that match a regular expression. Set keda.minReplicaCount: 1, and no idleReplicaCount" $.where $fewest $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (dig "kafka" "sasl" "audience" "" .config) (not $keda.kafka.authenticationRef) -}}
{{- $problems = append $problems (printf "%sKEDA cannot ask for config.kafka.sasl.audience: have the server give it to this client by itself and leave it out, or name a TriggerAuthentication in keda.kafka.authenticationRef, or set keda.kafka.enabled: false" .where) -}}
{{- end -}}
{{- if and (dig "kafka" "sasl" "" .config) (ne (dig "kafka" "sasl" "mechanism" "" .config) "aws-msk-iam") (not $credentials.kafka.sasl.existingSecret) (not $keda.kafka.authenticationRef) -}}
{{- $problems = append $problems (printf "%sKEDA cannot use the references of config.kafka.sasl: name the Secret in credentials.kafka.sasl.existingSecret, or a TriggerAuthentication in keda.kafka.authenticationRef" .where) -}}
{{- end -}}
{{- end -}}
{{- if $byTemporal -}}
{{- $temporal := default dict .config.temporal -}}
{{- if not $temporal.address -}}
{{- $problems = append $problems (printf "%sconfig.temporal.address is missing: KEDA does not read TEMPORAL_ADDRESS" .where) -}}
{{- end -}}
{{- $effective := include "ktb.config" .root | fromYaml -}}
{{- $own := default dict $effective.temporal -}}
{{- range .role.values.extraEnv -}}
{{- if and (regexMatch "^TEMPORAL_(NAMESPACE|PROFILE|CONFIG_FILE)$" .name) (not $own.namespace) -}}
{{- $problems = append $problems (printf "%sKEDA does not read %s: write config.temporal.namespace" $.where .name) -}}
{{- end -}}
{{- if and (regexMatch "^TEMPORAL_(API_KEY|TLS.*|PROFILE|CONFIG_FILE)$" .name) (not $own.apiKey) (not (hasKey $own "tls")) -}}
{{- $problems = append $problems (printf "%sKEDA does not read %s: name API key and certificates in credentials.temporal, or write config.temporal.tls" $.where .name) -}}
{{- end -}}
{{- end -}}
{{- if not $keda.temporal.authenticationRef -}}
{{- $problems = concat $problems (include "ktb.kedaTlsProblems" (dict "where" .where "part" "temporal" "key" "tls" "config" .config "tls" $credentials.temporal.tls) | fromYamlArray) -}}
{{- $apiKey := $credentials.temporal.apiKey.existingSecret -}}
{{- $client := $credentials.temporal.tls.client.existingSecret -}}
{{- if and (or $own.tls $own.apiKey) (not (or $apiKey $client)) -}}
{{- $problems = append $problems (printf "%sKEDA connects to Temporal by TLS only with a client certificate or an API key: name one in credentials.temporal, or a TriggerAuthentication in keda.temporal.authenticationRef, or set keda.temporal.enabled: false" .where) -}}
{{- end -}}
{{- if and $apiKey (not $client) (contains "\"ca\"" (toJson $own.tls)) -}}
{{- $problems = append $problems (printf "%sKEDA does not read a CA beside an API key for Temporal: name a client certificate, too, or set keda.temporal.enabled: false" .where) -}}
{{- end -}}
{{- end -}}
{{- if contains "${" (toJson (list (pick $temporal "address" "namespace" "taskQueue") $.config.installation)) -}}
{{- $problems = append $problems (printf "%sKEDA does not resolve references such as ${NAME}: write config.installation, and address, namespace and taskQueue of config.temporal out, or do without keda.temporal" .where) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* Certificates that only the configuration names, which KEDA does not read. Takes where, part, key, config, tls (of credentials). */}}
{{- define "ktb.kedaTlsProblems" -}}
{{- $problems := list -}}
{{- $own := dig .part .key "" .config -}}
{{- if kindIs "map" $own -}}
{{- if and (hasKey $own "ca") (not (or .tls.ca.existingSecret .tls.ca.existingConfigMap)) -}}
{{- $problems = append $problems (printf "%sKEDA does not read config.%s.%s.ca: name it in credentials.%s.tls.ca, or a TriggerAuthentication in keda.%s.authenticationRef" .where .part .key .part .part) -}}
{{- end -}}
{{- if and (or (hasKey $own "cert") (hasKey $own "key")) (not .tls.client.existingSecret) -}}
{{- $problems = append $problems (printf "%sKEDA does not read config.%s.%s.cert and key: name them in credentials.%s.tls.client, or a TriggerAuthentication in keda.%s.authenticationRef" .where .part .key .part .part) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* Credentials of which a Secret or ConfigMap is named: a list such as kafka.sasl, kafka.tls.ca. Takes credentials. */}}
{{- define "ktb.namesIn" -}}
{{- $found := list -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- if or $value.existingSecret $value.existingConfigMap -}}
{{- $found = append $found $key -}}
{{- else -}}
{{- range include "ktb.namesIn" $value | fromYamlArray -}}
{{- $found = append $found (printf "%s.%s" $key .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* Credentials as a map of what they name, without what is empty or null. Takes credentials. */}}
{{- define "ktb.named" -}}
{{- $named := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $value = include "ktb.named" $value | fromYaml -}}
{{- end -}}
{{- if $value -}}
{{- $_ := set $named $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $named -}}
{{- end -}}
