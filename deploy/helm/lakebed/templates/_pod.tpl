{{- /*
The pod of a role: {root, role}. Its file system is read-only but for the home and /tmp; it needs no
access to Kubernetes, no privileges and no certain user.
*/ -}}
{{- define "lakebed.pod" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- $values := index $root.Values $role -}}
metadata:
  labels:
    {{- include "lakebed.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
  annotations:
    checksum/settings: {{ include "lakebed.settings" . | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  # 5 s until nobody sends here any more, 10 s to finish, write and let go, and some to spare
  terminationGracePeriodSeconds: 25
  containers:
    - name: {{ $role }}
      image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [serve, --config, /etc/lakebed/lakebed.toml, --role, {{ $role }}]
      envFrom:
        - secretRef: {name: {{ $root.Values.secret | quote }}}
        {{- with $values.secret }}
        - secretRef: {name: {{ . | quote }}}
        {{- end }}
      {{- if and (eq $role "gateway") $values.tls }}
      env:
        - {name: LAKEBED__MQTT__TLS_LISTEN, value: "0.0.0.0:8883"}
        - {name: LAKEBED__MQTT__TLS_CERTIFICATE, value: /etc/lakebed-tls/tls.crt}
        - {name: LAKEBED__MQTT__TLS_KEY, value: /etc/lakebed-tls/tls.key}
      {{- end }}
      ports:
        - {name: http, containerPort: 8080}
        {{- if eq $role "gateway" }}
        - {name: mqtt, containerPort: 1883}
        {{- if $values.tls }}
        - {name: mqtts, containerPort: 8883}
        {{- end }}
        {{- end }}
      # alive: the process answers. A store that is away is no reason to start it again.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 2
        failureThreshold: 90
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if ne $role "keeper" }}
      lifecycle:
        preStop: {exec: {command: [sleep, "5"]}}
      {{- end }}
      resources: {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: home, mountPath: /var/lib/lakebed}
        - {name: settings, mountPath: /etc/lakebed, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if and (eq $role "gateway") $values.tls }}
        - {name: tls, mountPath: /etc/lakebed-tls, readOnly: true}
        {{- end }}
  volumes:
    - {name: home, emptyDir: {}}
    - name: settings
      configMap: {name: {{ include "lakebed.name" $root }}-{{ $role }}}
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
    {{- if and (eq $role "gateway") $values.tls }}
    - name: tls
      secret: {secretName: {{ $values.tls | quote }}, defaultMode: 0440}
    {{- end }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "lakebed.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $role }}
    {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
