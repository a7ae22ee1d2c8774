// A machine of four states, a product, a sum, shifts.
module top(input clk, input [7:0] a, input [7:0] b, output reg [15:0] q, output reg [7:0] c);
  reg [15:0] acc; reg [3:0] st;
  always @(posedge clk) begin
    case (st) 0: acc <= a * b; 1: acc <= acc + {b, a}; 2: q <= acc ^ (acc >> 3); default: c <= c + a; endcase
    st <= st + 1;
  end
endmodule
