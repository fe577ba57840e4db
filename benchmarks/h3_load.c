/* Load of HTTP/3: h3_load PORT CONNECTIONS STREAMS SECONDS PATH ANSWER_BYTES [BODY_BYTES]

   One thread, on ngtcp2, nghttp3 and GnuTLS. Each connection has so many requests under way; each answer
   must have status 200 and so many octets, else it is counted under "status". With BODY_BYTES they are
   POSTs of a body of that size. The certificate is not checked. The last line of the output is one JSON object, as
   wrk/report.lua writes it. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    DATAGRAM = 1500,
    BATCH = 64,                /* datagrams that are read at once */
    SLOWEST_US = 1 << 22,      /* what takes longer is counted with it */
    SOCKET_BUFFER = 4 << 20
};

struct request {
    uint64_t began_us;
    uint64_t octets;
    int status;
};

struct connection {
    int fd;
    struct sockaddr_in local, remote;
    ngtcp2_path path;
    ngtcp2_conn *quic;
    nghttp3_conn *http;                    /* when the handshake is complete */
    gnutls_session_t tls;
    ngtcp2_crypto_conn_ref reference;
    int under_way;
};

static const char PRIORITY[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:%DISABLE_TLS13_COMPAT_MODE";

static uint32_t spent[SLOWEST_US];
static uint64_t answered, wrong, answer_octets;
static int streams, stopping;
static uint8_t *body;
static size_t body_octets;
static const char *asked_path;
static char authority[32];
static gnutls_certificate_credentials_t credentials;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s%s%s\n", what, why ? ": " : "", why ? why : "");
    exit(1);
}

static ngtcp2_tstamp now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NGTCP2_SECONDS + (uint64_t)now.tv_nsec;
}

/* --- HTTP/3 ------------------------------------------------------------------------------------- */

static int take_header(nghttp3_conn *http, int64_t id, int32_t token, nghttp3_rcbuf *name,
                       nghttp3_rcbuf *value, uint8_t flags, void *user, void *of) {
    struct request *request = of;
    (void)http, (void)id, (void)name, (void)flags, (void)user;
    if (token == NGHTTP3_QPACK_TOKEN__STATUS) {
        nghttp3_vec text = nghttp3_rcbuf_get_buf(value);
        request->status = text.len == 3 ? (text.base[0] - '0') * 100 + (text.base[1] - '0') * 10
                                              + (text.base[2] - '0') : 0;
    }
    return 0;
}

static void consumed(struct connection *c, int64_t id, size_t size) {
    ngtcp2_conn_extend_max_stream_offset(c->quic, id, size);
    ngtcp2_conn_extend_max_offset(c->quic, size);
}

static int take_data(nghttp3_conn *http, int64_t id, const uint8_t *data, size_t size, void *user,
                     void *of) {
    (void)http, (void)data;
    ((struct request *)of)->octets += size;
    consumed(user, id, size);
    return 0;
}

static int consume_later(nghttp3_conn *http, int64_t id, size_t size, void *user, void *of) {
    (void)http, (void)of;
    consumed(user, id, size);
    return 0;
}

static int want_stop(nghttp3_conn *http, int64_t id, uint64_t code, void *user, void *of) {
    (void)http, (void)of;
    return ngtcp2_conn_shutdown_stream_read(((struct connection *)user)->quic, id, code)
               ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static int want_reset(nghttp3_conn *http, int64_t id, uint64_t code, void *user, void *of) {
    (void)http, (void)of;
    return ngtcp2_conn_shutdown_stream_write(((struct connection *)user)->quic, id, code)
               ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static nghttp3_ssize give_body(nghttp3_conn *http, int64_t id, nghttp3_vec *parts, size_t count,
                               uint32_t *flags, void *user, void *of) {
    (void)http, (void)id, (void)count, (void)user, (void)of;
    parts[0] = (nghttp3_vec){body, body_octets};
    *flags |= NGHTTP3_DATA_FLAG_EOF;
    return 1;
}

static void open_http(struct connection *c) {
    nghttp3_callbacks callbacks = {
        .recv_data = take_data, .deferred_consume = consume_later, .recv_header = take_header,
        .stop_sending = want_stop, .reset_stream = want_reset};
    nghttp3_settings settings;
    int64_t control, encoder, decoder;
    nghttp3_settings_default(&settings);
    settings.qpack_max_dtable_capacity = 4096;
    settings.qpack_blocked_streams = 100;
    if (nghttp3_conn_client_new(&c->http, &callbacks, &settings, NULL, c)
        || ngtcp2_conn_open_uni_stream(c->quic, &control, NULL)
        || nghttp3_conn_bind_control_stream(c->http, control)
        || ngtcp2_conn_open_uni_stream(c->quic, &encoder, NULL)
        || ngtcp2_conn_open_uni_stream(c->quic, &decoder, NULL)
        || nghttp3_conn_bind_qpack_streams(c->http, encoder, decoder))
        fail("no HTTP/3", NULL);
}

#define FIELD(NAME, VALUE) \
    {(uint8_t *)(NAME), (uint8_t *)(VALUE), strlen(NAME), strlen(VALUE), NGHTTP3_NV_FLAG_NONE}

/* As many requests as may be under way; the server may allow fewer streams for now. */
static void fill(struct connection *c) {
    char size[24];
    snprintf(size, sizeof size, "%zu", body_octets);
    nghttp3_nv head[] = {
        FIELD(":method", body ? "POST" : "GET"), FIELD(":scheme", "https"),
        FIELD(":authority", authority), FIELD(":path", asked_path),
        FIELD("user-agent", "h3_load"), FIELD("content-length", size)};
    nghttp3_data_reader reader = {give_body};
    while (c->http && !stopping && c->under_way < streams) {
        struct request *request = calloc(1, sizeof *request);
        int64_t id;
        if (ngtcp2_conn_open_bidi_stream(c->quic, &id, request)) {
            free(request);
            return;
        }
        request->began_us = now_ns() / 1000;
        if (nghttp3_conn_submit_request(c->http, id, head, body ? 6 : 5, body ? &reader : NULL,
                                        request))
            fail("a request cannot be made", NULL);
        c->under_way++;
    }
}

/* --- QUIC --------------------------------------------------------------------------------------- */

static int on_handshake(ngtcp2_conn *quic, void *user) {
    (void)quic;
    open_http(user);
    return 0;
}

static int on_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t size, void *user, void *of) {
    struct connection *c = user;
    (void)quic, (void)offset, (void)of;
    nghttp3_ssize taken =
        nghttp3_conn_read_stream(c->http, id, data, size, flags & NGTCP2_STREAM_DATA_FLAG_FIN);
    if (taken < 0)
        fail("the server breaks HTTP/3", nghttp3_strerror((int)taken));
    consumed(c, id, (size_t)taken);
    return 0;
}

static int on_acked(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t size, void *user,
                    void *of) {
    (void)quic, (void)offset, (void)of;
    return nghttp3_conn_add_ack_offset(((struct connection *)user)->http, id, size)
               ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *user,
                           void *of) {
    struct connection *c = user;
    struct request *request = of;
    (void)quic;
    if (!(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET))
        code = NGHTTP3_H3_NO_ERROR;
    nghttp3_conn_close_stream(c->http, id, code);
    if (!request)
        return 0;
    c->under_way--;
    if (!stopping) {
        uint64_t took = now_ns() / 1000 - request->began_us;
        answered++;
        wrong += request->status != 200 || request->octets != answer_octets;
        spent[took < SLOWEST_US ? took : SLOWEST_US - 1]++;
    }
    free(request);
    return 0;
}

static int on_room(ngtcp2_conn *quic, int64_t id, uint64_t most, void *user, void *of) {
    (void)quic, (void)most, (void)of;
    nghttp3_conn_unblock_stream(((struct connection *)user)->http, id);
    return 0;
}

static int on_stop(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user, void *of) {
    (void)quic, (void)code, (void)of;
    nghttp3_conn_shutdown_stream_write(((struct connection *)user)->http, id);
    return 0;
}

static void randomly(uint8_t *out, size_t size, const ngtcp2_rand_ctx *context) {
    (void)context;
    gnutls_rnd(GNUTLS_RND_NONCE, out, size);
}

static int new_id(ngtcp2_conn *quic, ngtcp2_cid *id, uint8_t *token, size_t size, void *user) {
    (void)quic, (void)user;
    gnutls_rnd(GNUTLS_RND_RANDOM, id->data, size);
    id->datalen = size;
    gnutls_rnd(GNUTLS_RND_RANDOM, token, NGTCP2_STATELESS_RESET_TOKENLEN);
    return 0;
}

static ngtcp2_conn *connection_of(ngtcp2_crypto_conn_ref *reference) {
    return ((struct connection *)reference->user_data)->quic;
}

static void secure(struct connection *c) {
    gnutls_datum_t alpn = {(unsigned char *)"h3", 2};
    gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NO_AUTO_SEND_TICKET);
    if (gnutls_priority_set_direct(c->tls, PRIORITY, NULL)
        || gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, credentials)
        || ngtcp2_crypto_gnutls_configure_client_session(c->tls)
        || gnutls_alpn_set_protocols(c->tls, &alpn, 1, GNUTLS_ALPN_MANDATORY))
        fail("no TLS", NULL);
    gnutls_server_name_set(c->tls, GNUTLS_NAME_DNS, "localhost", 9);
    c->reference = (ngtcp2_crypto_conn_ref){connection_of, c};
    gnutls_session_set_ptr(c->tls, &c->reference);
    ngtcp2_conn_set_tls_native_handle(c->quic, c->tls);
}

static void dial(struct connection *c, int port) {
    ngtcp2_callbacks callbacks = {
        .client_initial = ngtcp2_crypto_client_initial_cb,
        .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
        .handshake_completed = on_handshake,
        .encrypt = ngtcp2_crypto_encrypt_cb,
        .decrypt = ngtcp2_crypto_decrypt_cb,
        .hp_mask = ngtcp2_crypto_hp_mask_cb,
        .recv_stream_data = on_stream_data,
        .acked_stream_data_offset = on_acked,
        .stream_close = on_stream_close,
        .recv_retry = ngtcp2_crypto_recv_retry_cb,
        .rand = randomly,
        .get_new_connection_id = new_id,
        .update_key = ngtcp2_crypto_update_key_cb,
        .extend_max_stream_data = on_room,
        .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
        .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
        .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
        .stream_stop_sending = on_stop,
        .version_negotiation = ngtcp2_crypto_version_negotiation_cb};
    socklen_t size = sizeof c->local;
    int room = SOCKET_BUFFER;
    ngtcp2_cid ours = {.datalen = 8}, theirs = {.datalen = 18};
    ngtcp2_settings settings;
    ngtcp2_transport_params terms;
    c->remote = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    c->remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (connect(c->fd, (struct sockaddr *)&c->remote, sizeof c->remote)
        || getsockname(c->fd, (struct sockaddr *)&c->local, &size))
        fail("cannot connect", strerror(errno));
    c->path.local = (ngtcp2_addr){(struct sockaddr *)&c->local, sizeof c->local};
    c->path.remote = (ngtcp2_addr){(struct sockaddr *)&c->remote, sizeof c->remote};
    gnutls_rnd(GNUTLS_RND_RANDOM, ours.data, ours.datalen);
    gnutls_rnd(GNUTLS_RND_RANDOM, theirs.data, theirs.datalen);
    ngtcp2_settings_default(&settings);
    settings.initial_ts = now_ns();
    settings.initial_rtt = 10 * NGTCP2_MILLISECONDS;
    ngtcp2_transport_params_default(&terms);
    terms.initial_max_streams_uni = 10;
    terms.initial_max_stream_data_bidi_local = 6 << 20;
    terms.initial_max_stream_data_uni = 1 << 20;
    terms.initial_max_data = 15 << 20;
    terms.max_idle_timeout = 30 * NGTCP2_SECONDS;
    if (ngtcp2_conn_client_new(&c->quic, &theirs, &ours, &c->path, NGTCP2_PROTO_VER_V1, &callbacks,
                               &settings, &terms, NULL, c))
        fail("no QUIC", NULL);
    secure(c);
}

/* Ends with what the server has said, if it has. */
static void ended(struct connection *c, int error) {
    ngtcp2_connection_close_error said;
    char why[300];
    ngtcp2_conn_get_connection_close_error(c->quic, &said);
    snprintf(why, sizeof why, "%s, %#llx %.*s", ngtcp2_strerror(error),
             (unsigned long long)said.error_code, (int)said.reasonlen, (char *)said.reason);
    fail("a connection has ended", why);
}

/* --- datagrams ---------------------------------------------------------------------------------- */

static void transmit(struct connection *c) {
    static uint8_t packet[DATAGRAM];
    ngtcp2_tstamp now = now_ns();
    for (;;) {
        nghttp3_vec parts[16];
        int64_t id = -1;
        int last = 0;
        nghttp3_ssize count = 0;
        ngtcp2_ssize data = -1, size;
        ngtcp2_pkt_info info;
        if (c->http && ngtcp2_conn_get_max_data_left(c->quic))
            count = nghttp3_conn_writev_stream(c->http, &id, &last, parts, 16);
        if (count < 0)
            fail("HTTP/3 cannot be written", nghttp3_strerror((int)count));
        size = ngtcp2_conn_writev_stream(
            c->quic, NULL, &info, packet, sizeof packet, &data,
            NGTCP2_WRITE_STREAM_FLAG_MORE | (last ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0), id,
            (ngtcp2_vec *)parts, (size_t)count, now);
        if (size == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
            nghttp3_conn_block_stream(c->http, id);
        } else if (size == NGTCP2_ERR_STREAM_SHUT_WR) {
            nghttp3_conn_shutdown_stream_write(c->http, id);
        } else if (size < 0 && size != NGTCP2_ERR_WRITE_MORE) {
            fail("a packet cannot be written", ngtcp2_strerror((int)size));
        } else {
            if (data >= 0)
                nghttp3_conn_add_write_offset(c->http, id, (size_t)data);
            if (!size)
                break;
            /* What the kernel refuses is lost, as on any network. */
            if (size > 0 && send(c->fd, packet, (size_t)size, 0) < 0 && errno == ECONNREFUSED)
                fail("nobody listens", NULL);
        }
    }
    ngtcp2_conn_update_pkt_tx_time(c->quic, now);
}

static void hear(struct connection *c) {
    static uint8_t octets[BATCH][DATAGRAM + 500];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    for (;;) {
        for (int at = 0; at < BATCH; at++) {
            parts[at] = (struct iovec){octets[at], sizeof octets[at]};
            messages[at].msg_hdr = (struct msghdr){.msg_iov = parts + at, .msg_iovlen = 1};
        }
        int count = recvmmsg(c->fd, messages, BATCH, 0, NULL);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (count < 0)
            fail("a connection has ended", strerror(errno));
        for (int at = 0; at < count; at++) {
            ngtcp2_pkt_info info = {0};
            int error = ngtcp2_conn_read_pkt(c->quic, &c->path, &info, octets[at],
                                             messages[at].msg_len, now_ns());
            if (error)
                ended(c, error);
        }
        if (count < BATCH)
            return;
    }
}

static void leave(struct connection *c) {
    uint8_t packet[DATAGRAM];
    ngtcp2_pkt_info info;
    ngtcp2_connection_close_error error;
    ngtcp2_connection_close_error_default(&error);
    ngtcp2_connection_close_error_set_application_error(&error, NGHTTP3_H3_NO_ERROR, NULL, 0);
    ngtcp2_ssize size = ngtcp2_conn_write_connection_close(c->quic, NULL, &info, packet,
                                                           sizeof packet, &error, now_ns());
    if (size > 0 && send(c->fd, packet, (size_t)size, 0) < 0)
        fail("cannot leave", strerror(errno));
}

/* --- all of them -------------------------------------------------------------------------------- */

static void make_body(size_t size) {
    body_octets = size;
    body = malloc(size + 1);
    for (size_t at = 0; at < size; at++)
        body[at] = (uint8_t)"0123456789abcdef"[at % 16];
}

static int percentile(double share) {
    uint64_t seen = 0;
    for (int us = 0; us < SLOWEST_US; us++)
        if ((seen += spent[us]) >= (uint64_t)((double)answered * share) && seen)
            return us;
    return SLOWEST_US;
}

/* The time until the first timer of a connection, no later than the end. */
static struct timespec wait_for(struct connection *all, int count, ngtcp2_tstamp end) {
    ngtcp2_tstamp first = end, now = now_ns();
    for (int at = 0; at < count; at++) {
        ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(all[at].quic);
        first = expiry < first ? expiry : first;
    }
    ngtcp2_tstamp wait = first > now ? first - now : 0;
    return (struct timespec){(time_t)(wait / NGTCP2_SECONDS), (long)(wait % NGTCP2_SECONDS)};
}

static void serve(struct connection *all, int count, int poll, ngtcp2_tstamp end) {
    struct epoll_event events[256];
    while (now_ns() < end) {
        struct timespec wait = wait_for(all, count, end);
        int ready = epoll_pwait2(poll, events, 256, &wait, NULL);
        for (int at = 0; at < ready; at++) {
            struct connection *c = events[at].data.ptr;
            hear(c);
            fill(c);
            transmit(c);
        }
        for (int at = 0; at < count; at++) {
            if (ngtcp2_conn_get_expiry(all[at].quic) > now_ns())
                continue;
            int error = ngtcp2_conn_handle_expiry(all[at].quic, now_ns());
            if (error)
                ended(all + at, error);
            transmit(all + at);
        }
    }
}

int main(int count, char **words) {
    if (count < 7 || count > 8)
        fail("h3_load PORT CONNECTIONS STREAMS SECONDS PATH ANSWER_BYTES [BODY_BYTES]", NULL);
    int connections = atoi(words[2]), poll = epoll_create1(0);
    streams = atoi(words[3]);
    asked_path = words[5];
    answer_octets = strtoull(words[6], NULL, 10);
    snprintf(authority, sizeof authority, "localhost:%s", words[1]);
    if (connections < 1 || streams < 1)
        fail("at least one connection with one request", NULL);
    if (count == 8)
        make_body(strtoull(words[7], NULL, 10));
    gnutls_certificate_allocate_credentials(&credentials);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    for (int at = 0; at < connections; at++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = all + at};
        dial(all + at, atoi(words[1]));
        epoll_ctl(poll, EPOLL_CTL_ADD, all[at].fd, &wanted);
        transmit(all + at);
    }
    ngtcp2_tstamp began = now_ns();
    serve(all, connections, poll, began + (uint64_t)atoi(words[4]) * NGTCP2_SECONDS);
    stopping = 1;
    ngtcp2_tstamp ended = now_ns();
    for (int at = 0; at < connections; at++)
        leave(all + at);
    printf("{\"requests\": %llu, \"spent_us\": %llu, \"p50_us\": %d, \"p99_us\": %d, "
           "\"status\": %llu}\n",
           (unsigned long long)answered, (unsigned long long)((ended - began) / 1000),
           percentile(0.50), percentile(0.99), (unsigned long long)wrong);
    return 0;
}
