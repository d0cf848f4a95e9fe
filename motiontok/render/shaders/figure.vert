#version 330 core
// One draw call a figure: every vertex knows its part, the parts' poses are uniforms.
layout(location = 0) in vec3 position;
layout(location = NORMAL_LOC) in vec3 normal;
layout(location = TEXCOORD_0_LOC) in vec2 texcoord_0;
layout(location = COLOR_0_LOC) in vec4 color_0;

uniform mat4 V;
uniform mat4 P;
uniform vec4 part_rows[3 * MAX_PARTS];

out vec3 world;
out vec3 facing;
out vec3 albedo;

void main()
{
    int row = 3 * int(texcoord_0.x + 0.5);
    vec4 x = part_rows[row], y = part_rows[row + 1], z = part_rows[row + 2];
    vec4 p = vec4(position, 1.0);
    world = vec3(dot(x, p), dot(y, p), dot(z, p));
    facing = vec3(dot(x.xyz, normal), dot(y.xyz, normal), dot(z.xyz, normal));
    albedo = color_0.rgb;
    gl_Position = P * (V * vec4(world, 1.0));
}
