/* Load of a WebSocket echo: ws_load PORT CONNECTIONS IN_FLIGHT SECONDS

   One thread. Each connection has so many small text messages under way: for each echo, which is
   compared, another message is sent, masked with a key of its own (RFC 6455 5.3). The last line of the
   output is one JSON object, as wrk/report.lua writes it: here a request is a message and its echo. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PAYLOAD = 32,              /* octets of a message */
    FRAME = 6 + PAYLOAD,       /* of a client: two, four of the mask, the payload */
    MOST_IN_FLIGHT = 64,
    MOST_CONTROL = 125,        /* payload of a ping (RFC 6455 5.5) */
    INPUT = 16384,
    SLOWEST_US = 1 << 20,      /* what takes longer is counted with it */
    TEXT = 0x81, CLOSE = 0x88, PING = 0x89, PONG = 0x8A, MASKED = 0x80
};

struct connection {
    int fd;
    uint32_t sent, echoed;                 /* messages */
    uint64_t began_us[MOST_IN_FLIGHT];     /* of those under way */
    unsigned char input[INPUT];
    size_t held;                           /* octets of input that are no whole frame yet */
};

static const char HANDSHAKE[] =
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";  /* of that key (RFC 6455 1.3) */

static uint32_t spent[SLOWEST_US];
static uint32_t in_flight;
static uint32_t mask = 0x9E3779B9;

static void fail(const char *what) {
    fprintf(stderr, "%s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The payload of a connection's message: 32 characters that name it. */
static void compose(char *text, int fd, uint32_t number) {
    static const char DIGITS[] = "0123456789abcdef";
    for (int at = 0; at < 8; at++) {
        text[at] = DIGITS[(uint32_t)fd >> 4 * at & 15];
        text[8 + at] = DIGITS[number >> 4 * at & 15];
    }
    memcpy(text + 16, "of a small echo.", 16);
}

static unsigned char *frame(unsigned char *to, int opcode, const char *payload, size_t size) {
    mask ^= mask << 13, mask ^= mask >> 17, mask ^= mask << 5;
    const unsigned char *key = (const unsigned char *)&mask;
    *to++ = (unsigned char)opcode;
    *to++ = (unsigned char)(MASKED | size);
    memcpy(to, key, 4);
    to += 4;
    for (size_t at = 0; at < size; at++)
        *to++ = (unsigned char)payload[at] ^ key[at & 3];
    return to;
}

static void put(const struct connection *c, const unsigned char *octets, size_t size) {
    errno = 0;
    if (send(c->fd, octets, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("a message cannot be sent");  /* the little that is under way fits into any buffer */
}

static void fill(struct connection *c, uint64_t now) {
    unsigned char out[MOST_IN_FLIGHT * FRAME], *end = out;
    char text[PAYLOAD];
    while (c->sent - c->echoed < in_flight) {
        c->began_us[c->sent % in_flight] = now;
        compose(text, c->fd, c->sent++);
        end = frame(end, TEXT, text, PAYLOAD);
    }
    if (end > out)
        put(c, out, (size_t)(end - out));
}

static void take(struct connection *c, const unsigned char *payload, size_t size, uint64_t now) {
    char text[PAYLOAD];
    compose(text, c->fd, c->echoed);
    errno = 0;
    if (c->echoed == c->sent || size != PAYLOAD || memcmp(text, payload, PAYLOAD))
        fail("an echo is not what was sent");
    uint64_t took = now - c->began_us[c->echoed++ % in_flight];
    spent[took < SLOWEST_US ? took : SLOWEST_US - 1]++;
}

/* Takes the whole frames of the input; the number of echoes among them. */
static uint32_t parse(struct connection *c, uint64_t now) {
    const unsigned char *at = c->input, *end = c->input + c->held;
    uint32_t echoes = 0;
    while (end - at >= 2 && end - at >= 2 + at[1]) {
        unsigned char pong[6 + MOST_CONTROL];
        errno = 0;
        if (at[1] > MOST_CONTROL)
            fail("a frame is masked, or longer than any that was sent");
        if (at[0] == TEXT) {
            take(c, at + 2, at[1], now);
            echoes++;
        } else if (at[0] == PING) {
            put(c, pong, (size_t)(frame(pong, PONG, (const char *)at + 2, at[1]) - pong));
        } else {
            fail("an unexpected frame");
        }
        at += 2 + at[1];
    }
    c->held = (size_t)(end - at);
    memmove(c->input, at, c->held);
    return echoes;
}

static void dial(struct connection *c, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int yes = 1;
    size_t size = 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address))
        fail("cannot connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    put(c, (const unsigned char *)HANDSHAKE, sizeof HANDSHAKE - 1);
    for (;;) {
        ssize_t count = recv(c->fd, c->input + size, INPUT - 1 - size, 0);
        if (count <= 0)
            fail("no answer to a handshake");
        size += (size_t)count;
        c->input[size] = 0;
        if (strstr((char *)c->input, "\r\n\r\n"))
            break;
    }
    errno = 0;
    if (strncmp((char *)c->input, "HTTP/1.1 101", 12) || !strstr((char *)c->input, ACCEPT))
        fail("a handshake is refused");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static uint64_t hear(struct connection *c) {
    uint64_t echoes = 0;
    ssize_t count = recv(c->fd, c->input + c->held, INPUT - c->held, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (count <= 0)
        fail("a connection has ended");
    c->held += (size_t)count;
    uint64_t now = now_us();
    echoes = parse(c, now);
    fill(c, now);
    return echoes;
}

static int percentile(uint64_t echoes, double share) {
    uint64_t seen = 0;
    for (int us = 0; us < SLOWEST_US; us++)
        if ((seen += spent[us]) >= (uint64_t)((double)echoes * share) && seen)
            return us;
    return SLOWEST_US;
}

int main(int count, char **words) {
    if (count != 5)
        fail("ws_load PORT CONNECTIONS IN_FLIGHT SECONDS");
    int connections = atoi(words[2]), poll = epoll_create1(0);
    in_flight = (uint32_t)atoi(words[3]);
    if (connections < 1 || in_flight < 1 || in_flight > MOST_IN_FLIGHT)
        fail("at least one connection, and 1 to 64 messages in flight");
    struct connection *all = calloc((size_t)connections, sizeof *all);
    struct epoll_event events[256];
    for (int at = 0; at < connections; at++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = all + at};
        dial(all + at, atoi(words[1]));
        epoll_ctl(poll, EPOLL_CTL_ADD, all[at].fd, &wanted);
    }
    uint64_t began = now_us(), end = began + (uint64_t)atoi(words[4]) * 1000000, now = began;
    uint64_t echoes = 0;
    for (int at = 0; at < connections; at++)
        fill(all + at, began);
    while (now < end) {
        int ready = epoll_wait(poll, events, 256, 1000);
        for (int at = 0; at < ready; at++)
            echoes += hear(events[at].data.ptr);
        now = now_us();
    }
    for (int at = 0; at < connections; at++) {
        unsigned char bye[8];
        put(all + at, bye, (size_t)(frame(bye, CLOSE, "\x03\xe8", 2) - bye));
    }
    printf("{\"requests\": %llu, \"spent_us\": %llu, \"p50_us\": %d, \"p99_us\": %d}\n",
           (unsigned long long)echoes, (unsigned long long)(now - began),
           percentile(echoes, 0.50), percentile(echoes, 0.99));
    return 0;
}
