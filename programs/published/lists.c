/* For a compiler to compile: a list sorted, a hash, sums of products, a switch. */
typedef unsigned size_t;
struct node { struct node *next; int key; double w; };
static int cmp(const struct node *a, const struct node *b) { return a->key < b->key ? -1 : a->key > b->key; }
struct node *sort(struct node *l) { struct node *s = 0; while (l) { struct node *n = l->next, **p = &s; while (*p && cmp(*p, l) < 0) p = &(*p)->next; l->next = *p; *p = l; l = n; } return s; }
unsigned hash(const char *s) { unsigned h = 5381; while (*s) h = h * 33 ^ (unsigned char)*s++; return h; }
double dot(const double *a, const double *b, int n) { double r = 0; for (int i = 0; i < n; i++) r += a[i] * b[i]; return r; }
void mm(double *c, const double *a, const double *b, int n) { for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) { double s = 0; for (int k = 0; k < n; k++) s += a[i*n+k] * b[k*n+j]; c[i*n+j] = s; } }
int sw(int x) { switch (x) { case 1: return 5; case 2: return 77; case 3: return x * x; case 10: return hash("abc"); case 11: return 4; default: return -1; } }
