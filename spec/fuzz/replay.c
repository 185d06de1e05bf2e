/* replay.c - a main() for a fuzz target without libFuzzer: runs it once on each file named.
**     cc -fsanitize=address,undefined ... msgpack_fuzz.c replay.c && ./a.out corpus/msgpack/...
*/
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0, got = 1;

    if (file == NULL) {
        perror(path);
        return 0;
    }
    while (got > 0) {
        uint8_t *larger = realloc(data, size + 65536);

        if (larger == NULL) break;
        data = larger;
        got = fread(data + size, 1, 65536, file);
        size += got;
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return got == 0;
}

int main(int argc, char **argv) {
    int failed = 0;

    for (int i = 1; i < argc; i++) failed += !replay(argv[i]);
    printf("%d files replayed\n", argc - 1 - failed);
    return failed > 0;
}
