/* host_c.c - Tycho from C: append, append under a condition, link, read, rows.
**
**     cc host_c.c $(pkg-config --cflags --libs tycho) && ./a.out
*/
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tycho.h"

static tycho_bytes text(const char *string) {
    const tycho_bytes bytes = {string, strlen(string)};
    return bytes;
}

static void check(int status, const char *what) {
    if (status == TYCHO_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, tycho_status_code(status), tycho_error());
    exit(1);
}

static void append(tycho_store *store, tycho_batch *batch) {
    const tycho_bytes tags[] = {text("city:Brno")};
    tycho_new_event events[2] = {{.type = text("OrderPlaced"), .content_type = text("text/plain")},
                                 {.type = text("OrderPaid"), .content_type = text("text/plain")}};
    const tycho_receipt *receipt;

    events[0].id = text("placed-1");
    events[0].data = text("120");
    events[0].tags = tags;
    events[0].tag_count = 1;
    events[1].id = text("paid-1");
    events[1].data = text("120");
    check(tycho_batch_append(batch, text("order-1"), TYCHO_EXPECT_NONE, events, 2, 0), "append");
    check(tycho_batch_link(batch, text("city-Brno"), TYCHO_EXPECT_ANY, &events[0].id, 1, 0),
          "link");
    check(tycho_batch_put_row(batch, text("cities"), text("Brno"), text("1 order")), "put row");
    check(tycho_commit(store, batch, &receipt), "commit");
    printf("committed %" PRIu64 " events at position %" PRIu64 "\n", receipt->event_count,
           receipt->first_position);
}

/* The append condition of a dynamic consistency boundary: no event of this city so far. */
static void append_once(tycho_store *store, tycho_batch *batch) {
    const tycho_bytes tag = text("city:Brno");
    const tycho_query_item item = {.tags = &tag, .tag_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_new_event event = {.type = text("CityOpened")};
    const tycho_receipt *receipt;

    tycho_batch_clear(batch);
    check(tycho_batch_expect_none(batch, &query, 0), "expect none");
    check(tycho_batch_append(batch, text("cities"), TYCHO_EXPECT_ANY, &event, 1, 0), "append");
    const int status = tycho_commit(store, batch, &receipt);
    printf("%s: found position %" PRId64 "\n", tycho_status_code(status), receipt->actual);
}

static void read_stream(tycho_store *store, const char *name) {
    const tycho_read read = {.size = sizeof(read), .stream = text(name)};
    tycho_cursor *cursor;
    tycho_event event;
    tycho_bytes home;

    check(tycho_cursor_open(store, &read, &cursor), "read");
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        check(tycho_cursor_stream(cursor, &home), "home stream");
        printf("%s %" PRId64 ": %.*s of %.*s, data %.*s%s\n", name, event.revision,
               (int)event.type.size, (const char *)event.type.data, (int)home.size,
               (const char *)home.data, (int)event.data.size, (const char *)event.data.data,
               event.is_link ? ", a link" : "");
    }
    tycho_cursor_close(cursor);
}

static void list_rows(tycho_store *store) {
    const tycho_list_options options = {
        .size = sizeof(options), .list = TYCHO_LIST_ROWS, .subject = text("cities")};
    tycho_listing *listing;
    tycho_item row;

    check(tycho_listing_open(store, &options, &listing), "list");
    while (tycho_listing_next(listing, &row) == TYCHO_OK)
        printf("row %.*s = %.*s\n", (int)row.name.size, (const char *)row.name.data,
               (int)row.value.size, (const char *)row.value.data);
    tycho_listing_close(listing);
}

int main(void) {
    const tycho_options options = {.size = sizeof(options), .mode = TYCHO_TEMPORARY};
    tycho_store *store;
    tycho_batch *batch;

    check(tycho_store_open(NULL, &options, &store), "open");
    check(tycho_batch_create(&batch), "batch");
    append(store, batch);
    append_once(store, batch);
    read_stream(store, "order-1");
    read_stream(store, "city-Brno");
    list_rows(store);
    tycho_batch_destroy(batch);
    tycho_store_close(store);
    return 0;
}
