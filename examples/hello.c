/* Greets, lists its arguments, and exits with 0.
 * Run it with: cargo run --release -p vm-cli -- run examples/hello.wasm one two */
#include <stdio.h>

int main(int argc, char **argv) {
    printf("Hello from behind the palisade!\n");
    for (int i = 1; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    return 0;
}
