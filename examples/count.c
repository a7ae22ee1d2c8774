/* Counts lines and bytes of the files named as arguments: a program that needs a directory.
 * Run it with: cargo run --release -p vm-cli -- run --dir examples::/ examples/count.wasm /hello.c
 * Exits with 1 if a file could not be read. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        unsigned long lines = 0, bytes = 0;
        if (file) {
            for (int byte; (byte = getc(file)) != EOF; bytes++)
                lines += byte == '\n';
        }
        if (!file || ferror(file)) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
            failures = 1;
        } else {
            printf("%lu lines, %lu bytes: %s\n", lines, bytes, argv[i]);
        }
        if (file)
            fclose(file);
    }
    return failures;
}
