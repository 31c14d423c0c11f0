// An echo server on uWebSockets, for `echo`: prints `listening on ws://127.0.0.1:PORT/`. One thread.
//
// The declarations are those of uWebSockets' C API, as far as they are used.

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct us_listen_socket_t;
typedef struct uws_app_s uws_app_t;
typedef struct uws_websocket_s uws_websocket_t;
typedef struct {
    int port;
    const char *host;
    int options;
} uws_app_listen_config_t;
struct us_socket_context_options_t {
    const char *key_file_name;
    const char *cert_file_name;
    const char *passphrase;
    const char *dh_params_file_name;
    const char *ca_file_name;
    const char *ssl_ciphers;
    int ssl_prefer_low_memory_usage;
};
typedef void (*uws_message_handler)(uws_websocket_t *, const char *, size_t, int opcode, void *);
typedef void (*uws_listen_handler)(struct us_listen_socket_t *, uws_app_listen_config_t, void *);
typedef struct {
    int compression;
    unsigned int max_payload_length;
    unsigned short idle_timeout;
    unsigned int max_backpressure;
    bool close_on_backpressure_limit;
    bool reset_idle_timeout_on_send;
    bool send_pings_automatically;
    unsigned short max_lifetime;
    void *upgrade;
    void *open;
    uws_message_handler message;
    void *drain;
    void *ping;
    void *pong;
    void *close;
    void *subscription;
} uws_socket_behavior_t;

uws_app_t *uws_create_app(int ssl, struct us_socket_context_options_t options);
void uws_ws(int ssl, uws_app_t *app, const char *pattern, uws_socket_behavior_t behavior, void *user_data);
int uws_ws_send(int ssl, uws_websocket_t *ws, const char *message, size_t length, int opcode);
void uws_app_listen_with_config(int ssl, uws_app_t *app, uws_app_listen_config_t config, uws_listen_handler handler,
                                void *user_data);
void uws_app_run(int ssl, uws_app_t *app);
int us_socket_local_port(int ssl, struct us_listen_socket_t *socket);

static void echo(uws_websocket_t *ws, const char *message, size_t length, int opcode, void *user_data) {
    (void)user_data;
    uws_ws_send(0, ws, message, length, opcode);
}

static void listening(struct us_listen_socket_t *socket, uws_app_listen_config_t config, void *user_data) {
    (void)config;
    (void)user_data;
    printf("listening on ws://127.0.0.1:%d/\n", us_socket_local_port(0, socket));
    fflush(stdout);
}

int main(void) {
    struct us_socket_context_options_t options;
    memset(&options, 0, sizeof options);
    uws_socket_behavior_t behavior;
    memset(&behavior, 0, sizeof behavior);
    behavior.max_payload_length = 16 << 20;
    behavior.max_backpressure = 64 << 20;
    behavior.idle_timeout = 120;
    behavior.send_pings_automatically = true;
    behavior.message = echo;
    uws_app_listen_config_t config = {0, "127.0.0.1", 0};
    uws_app_t *app = uws_create_app(0, options);
    uws_ws(0, app, "/*", behavior, NULL);
    uws_app_listen_with_config(0, app, config, listening, NULL);
    uws_app_run(0, app);
    return 1;
}
