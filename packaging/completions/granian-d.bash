# Rendered by `python -m tests.golden.regenerate` from granian_d/cli/completions.py.

_granian_d() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' flags='' words='' found='' at file
    COMPREPLY=()
    # --flag=value arrives in three words: = is one of COMP_WORDBREAKS.
    if [[ $current == = ]]; then
        current=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $before in
    -c | --config | --env-files | --uds | --control-socket | --pid-file | \
        --ssl-certificate | --ssl-keyfile | --ssl-ca | --ssl-crl | --ssl-sni | --log-file | \
        --log-config | --access-log-file) found=file ;;
    --interface) words='asgi asginl wsgi rsgi' ;;
    --working-dir | --venv | --static-path-mount | --reload-paths | --reload-ignore-paths) found=directory ;;
    --loop) words='auto asyncio rloop uvloop winloop' ;;
    --task-impl) words='asyncio rust' ;;
    --engine) words='auto native pure' ;;
    --http) words='auto 1 2' ;;
    --url-path-prefix | --listen | --host | --port | --uds-permissions | --backlog | \
        --forwarded-allow-ips | --workers | --workers-min | --workers-max | --refork-after | \
        --blocking-threads | --blocking-threads-idle-timeout | --runtime-threads | \
        --runtime-blocking-threads | --backpressure | --respawn-interval | \
        --workers-startup-timeout | --workers-kill-timeout | --workers-stall-timeout | \
        --workers-stream-timeout | --drain-delay | --idle-exit | --surge | --max-generations | \
        --warmup | --health | --workers-max-requests | --workers-max-requests-jitter | \
        --workers-lifetime | --workers-lifetime-jitter | --workers-max-rss | --workers-max-pss | \
        --rss-sample-interval | --rss-samples | --request-timeout | --request-kill-timeout | \
        --process-name | --user | --group | --umask | --static-path-route | \
        --static-path-dir-to-file | --static-path-expires | --http1-buffer-size | \
        --http1-header-read-timeout | --http1-keep-alive-timeout | --http1-max-headers | \
        --http2-initial-connection-window-size | --http2-initial-stream-window-size | \
        --http2-keep-alive-interval | --http2-keep-alive-timeout | \
        --http2-max-concurrent-streams | --http2-max-frame-size | --http2-max-headers-size | \
        --http2-max-send-buffer-size | --quic-idle-timeout | --quic-retry-above | \
        --quic-alt-svc-port | --quic-alt-svc-max-age | --quic-initial-connection-window-size | \
        --quic-initial-stream-window-size | --quic-max-concurrent-streams | \
        --quic-max-send-buffer-size | --websocket-max-message-size | \
        --websocket-max-frame-size | --websocket-ping-interval | --websocket-ping-timeout | \
        --request-max-body-size | --request-body-timeout | --response-write-timeout | \
        --ssl-keyfile-password | --ssl-ciphers | --ssl-handshake-timeout | \
        --ssl-ticket-lifetime | --access-log-fmt | --metrics-scrape-interval | \
        --metrics-address | --metrics-port | --reload-ignore-dirs | --reload-ignore-patterns | \
        --reload-tick) return ;;
    --lifespan-shutdown) words='drained signal' ;;
    --forwarded-fields) words='x-forwarded forwarded' ;;
    --runtime-mode) words='auto mt st' ;;
    --static-path-symlinks) words='off inside on' ;;
    --ssl-protocol-min) words='tls1.2 tls1.3' ;;
    --log-level) words='critical error warning info debug warn notset' ;;
    --log-format) words='auto text json' ;;
    --access-log-format) words='text json journal' ;;
    *)
        flags='-c --config --interface --factory --no-factory --working-dir --venv --env-files --loop
    --task-impl --engine --http --http3 --no-http3 --ws --no-ws --url-path-prefix
    --lifespan-shutdown --listen --host --port --uds --uds-permissions --backlog
    --proxy-protocol --no-proxy-protocol --forwarded-allow-ips --forwarded-fields --workers
    --workers-min --workers-max --preload --no-preload --refork-after --blocking-threads
    --blocking-threads-idle-timeout --runtime-threads --runtime-blocking-threads
    --runtime-mode --backpressure --respawn-failed-workers --no-respawn-failed-workers
    --respawn-interval --workers-startup-timeout --workers-kill-timeout
    --workers-stall-timeout --workers-stream-timeout --drain-delay --idle-exit --surge
    --canary --no-canary --max-generations --warmup --health --workers-max-requests
    --workers-max-requests-jitter --workers-lifetime --workers-lifetime-jitter
    --workers-max-rss --workers-max-pss --rss-sample-interval --rss-samples
    --request-timeout --request-kill-timeout --control-socket --process-name --pid-file
    --user --group --umask --static-path-route --static-path-mount --static-path-dir-to-file
    --static-path-expires --static-path-precompressed --no-static-path-precompressed
    --static-path-symlinks --http1-buffer-size --http1-header-read-timeout
    --http1-keep-alive --no-http1-keep-alive --http1-keep-alive-timeout --http1-max-headers
    --http1-pipeline-flush --no-http1-pipeline-flush --http2-adaptive-window
    --no-http2-adaptive-window --http2-initial-connection-window-size
    --http2-initial-stream-window-size --http2-keep-alive-interval
    --http2-keep-alive-timeout --http2-max-concurrent-streams --http2-max-frame-size
    --http2-max-headers-size --http2-max-send-buffer-size --quic-idle-timeout
    --quic-retry-above --quic-early-data --no-quic-early-data --quic-alt-svc-port
    --quic-alt-svc-max-age --quic-initial-connection-window-size
    --quic-initial-stream-window-size --quic-max-concurrent-streams
    --quic-max-send-buffer-size --websocket-compression --no-websocket-compression
    --websocket-max-message-size --websocket-max-frame-size --websocket-ping-interval
    --websocket-ping-timeout --request-max-body-size --request-body-timeout
    --response-write-timeout --ssl-certificate --ssl-keyfile --ssl-keyfile-password
    --ssl-protocol-min --ssl-ca --ssl-crl --ssl-client-verify --no-ssl-client-verify
    --ssl-ciphers --ssl-sni --ssl-handshake-timeout --ssl-ticket-lifetime --log --no-log
    --log-level --log-format --log-file --log-config --access-log --no-access-log
    --access-log-fmt --access-log-format --access-log-file --metrics --no-metrics
    --metrics-scrape-interval --metrics-address --metrics-port --reload --no-reload
    --reload-paths --reload-ignore-dirs --reload-ignore-patterns --reload-ignore-paths
    --reload-tick --reload-ignore-worker-failure --no-reload-ignore-worker-failure --help -h
    --version'
        found=file
        ;;
    esac
    if [[ $current == -* || -z $words$found ]]; then
        words=$flags found=''
    fi
    case $found in
    file | directory)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -A "$found" -- "$current")
        return
        ;;
    instance)
        for file in /etc/granian/*.toml; do
            file=${file##*/}
            [[ $file == '*.toml' ]] || words+=" ${file%.toml}"
        done
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _granian_d granian-d
